// SPDX-License-Identifier: GPL-2.0
/*
 * A stand-in for the habanalabs driver, for tests in a guest: the nodes, the INFO and MEMORY calls,
 * dma-bufs, resets and sysfs attributes that hl-bufd uses, with memory of the machine in place of a
 * card's. Written from the driver's documented behaviour; "(deduced)" marks rules that were read
 * out of it and that nobody has yet confirmed on a card.
 */
#include <linux/module.h>
#include <linux/string.h>
#include "card.h"

static unsigned int cards = 1;
module_param(cards, uint, 0444);
MODULE_PARM_DESC(cards, "how many cards there are, at most 8");

static bool pci;
module_param(pci, bool, 0444);
MODULE_PARM_DESC(pci, "the cards are QEMU's ivshmem devices, which have a place in the PCI tree");

static char *asic = "gaudi2";
module_param(asic, charp, 0444);
MODULE_PARM_DESC(asic, "gaudi: physical addresses; gaudi2: handles and mappings");

unsigned int hlsim_legacy;
module_param_named(legacy, hlsim_legacy, uint, 0444);
MODULE_PARM_DESC(legacy, "0: as in 6.12; 61, 66: nodes and rules of kernels 6.1 and 6.6");

unsigned int hlsim_page_mib = 8;
module_param_named(page_mib, hlsim_page_mib, uint, 0444);
MODULE_PARM_DESC(page_mib, "gaudi2: size of a DRAM page, to which allocations are rounded up");

unsigned int hlsim_dram_mib = 128;
module_param_named(dram_mib, hlsim_dram_mib, uint, 0444);
MODULE_PARM_DESC(dram_mib, "memory of a card; gaudi2 reserves the first page of it");

unsigned int hlsim_bar_mib;
module_param_named(bar_mib, hlsim_bar_mib, uint, 0444);
MODULE_PARM_DESC(bar_mib, "how much of what users may have lies in the BAR; 0: all");

unsigned int hlsim_watchdog_ms = 30000;
module_param_named(watchdog_ms, hlsim_watchdog_ms, uint, 0644);
MODULE_PARM_DESC(watchdog_ms, "release window of cards that are made from now on");

unsigned int hlsim_kill_delay_ms = 1000;
module_param_named(kill_delay_ms, hlsim_kill_delay_ms, uint, 0644);
MODULE_PARM_DESC(kill_delay_ms, "from the start of a hard reset to SIGKILL");

unsigned int hlsim_pending_ms = 10000;
module_param_named(pending_ms, hlsim_pending_ms, uint, 0644);
MODULE_PARM_DESC(pending_ms, "from SIGKILL to the end of one trial");

unsigned int hlsim_retry_ms = 10000;
module_param_named(retry_ms, hlsim_retry_ms, uint, 0644);
MODULE_PARM_DESC(retry_ms, "from one trial to the next");

unsigned int hlsim_retries_max = 60;
module_param_named(retries_max, hlsim_retries_max, uint, 0644);
MODULE_PARM_DESC(retries_max, "trials after the first; then the card stays disabled");

unsigned int hlsim_reset_ms = 50;
module_param_named(reset_ms, hlsim_reset_ms, uint, 0644);
MODULE_PARM_DESC(reset_ms, "how long the hardware takes for a hard reset");

unsigned int hlsim_release_ms = 5;
module_param_named(release_ms, hlsim_release_ms, uint, 0644);
MODULE_PARM_DESC(release_ms, "gaudi2: how long the compute reset after a release takes");

bool hlsim_p2pdma = true;
module_param_named(p2pdma, hlsim_p2pdma, bool, 0644);
MODULE_PARM_DESC(p2pdma, "0: no import works, as in a kernel without CONFIG_PCI_P2PDMA");

/* Writable here alone, for tests; it has the driver's name and the driver's default. */
bool hlsim_memory_scrub;
module_param_named(memory_scrub, hlsim_memory_scrub, bool, 0644);
MODULE_PARM_DESC(memory_scrub, "clear all memory when the device is released and after resets");

bool hlsim_secured;
module_param_named(security_enabled, hlsim_secured, bool, 0444);
MODULE_PARM_DESC(security_enabled, "what the card says of its firmware");

bool hlsim_swap_control;
module_param_named(swap_control, hlsim_swap_control, bool, 0444);
MODULE_PARM_DESC(swap_control, "the control nodes of two cards lead to the other one");

static bool gaudi;

bool hlsim_is_gaudi(void)
{
	return gaudi;
}

static int __init hlsim_init(void)
{
	int ret;

	gaudi = !strcmp(asic, "gaudi");
	if (!gaudi && strcmp(asic, "gaudi2"))
		return -EINVAL;
	if (!hlsim_page_mib || hlsim_dram_mib <= hlsim_page_mib || cards > HLSIM_CARDS_MAX ||
	    (hlsim_legacy != 0 && hlsim_legacy != 61 && hlsim_legacy != 66))
		return -EINVAL;
	ret = hlsim_legacy ? hlsim_legacy_init() : hlsim_control_init();
	if (ret)
		return ret;
	hlsim_debugfs_init();
	ret = hlsim_cards_start(cards, pci);
	if (!ret)
		return 0;
	hlsim_debugfs_exit();
	if (hlsim_legacy)
		hlsim_legacy_exit();
	else
		hlsim_control_exit();
	return ret;
}

static void __exit hlsim_exit(void)
{
	hlsim_cards_stop();
	hlsim_debugfs_exit();
	if (hlsim_legacy)
		hlsim_legacy_exit();
	else
		hlsim_control_exit();
}

module_init(hlsim_init);
module_exit(hlsim_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("stand-in for the habanalabs driver, for tests of hl-bufd");
MODULE_IMPORT_NS(DMA_BUF);
