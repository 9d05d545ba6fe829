// SPDX-License-Identifier: GPL-2.0
/* The cards: as platform devices named like PCI ones, or bound to QEMU's ivshmem. */
#include <linux/dma-mapping.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/platform_device.h>
#include <linux/slab.h>
#include "card.h"

static DEFINE_IDR(cards);
static DEFINE_MUTEX(cards_lock);
static struct platform_device *platform_devices[HLSIM_CARDS_MAX];
static bool use_pci;

static void hlsim_card_release(struct kref *ref)
{
	struct hlsim_card *card = container_of(ref, struct hlsim_card, ref);

	hlsim_memory_fini(card);
	put_device(card->parent);
	kfree(card);
}

void hlsim_card_get(struct hlsim_card *card)
{
	kref_get(&card->ref);
}

void hlsim_card_put(struct hlsim_card *card)
{
	kref_put(&card->ref, hlsim_card_release);
}

struct hlsim_card *hlsim_card_find(int id)
{
	struct hlsim_card *card;

	mutex_lock(&cards_lock);
	card = idr_find(&cards, id);
	if (card)
		hlsim_card_get(card);
	mutex_unlock(&cards_lock);
	return card;
}

static int hlsim_card_start_nodes(struct hlsim_card *card)
{
	int ret;

	if (hlsim_legacy)
		return hlsim_legacy_start(card);
	ret = hlsim_accel_start(card);
	if (ret)
		return ret;
	ret = hlsim_control_start(card);
	if (ret)
		hlsim_accel_stop(card);
	return ret;
}

static int hlsim_probe(struct device *dev)
{
	struct hlsim_card *card = kzalloc(sizeof(*card), GFP_KERNEL);
	int ret;

	if (!card)
		return -ENOMEM;
	kref_init(&card->ref);
	mutex_init(&card->lock);
	spin_lock_init(&card->faults_lock);
	init_waitqueue_head(&card->changed);
	hlsim_reset_init(card);
	card->parent = get_device(dev);
	ret = hlsim_memory_init(card);
	if (ret)
		goto put;
	mutex_lock(&cards_lock);
	ret = idr_alloc(&cards, card, 0, HLSIM_CARDS_MAX, GFP_KERNEL);
	mutex_unlock(&cards_lock);
	if (ret < 0)
		goto put;
	card->id = ret;
	dev_set_drvdata(dev, card);
	ret = hlsim_card_start_nodes(card);
	if (ret)
		goto remove;
	hlsim_debugfs_start(card);
	return 0;

remove:
	mutex_lock(&cards_lock);
	idr_remove(&cards, card->id);
	mutex_unlock(&cards_lock);
put:
	hlsim_card_put(card);
	return ret;
}

/*
 * The driver waits here for minutes until its users are gone; this one kills the opener and leaves
 * the rest to the last reference.
 */
static void hlsim_remove(struct device *dev)
{
	struct hlsim_card *card = dev_get_drvdata(dev);

	mutex_lock(&cards_lock);
	idr_remove(&cards, card->id);
	mutex_unlock(&cards_lock);
	mutex_lock(&card->lock);
	card->removed = true;
	card->disabled = true;
	mutex_unlock(&card->lock);
	wake_up_all(&card->changed);
	hlsim_reset_stop(card);
	hlsim_kill_opener(card);
	hlsim_debugfs_stop(card);
	if (hlsim_legacy) {
		hlsim_legacy_stop(card);
	} else {
		hlsim_control_stop(card);
		hlsim_accel_stop(card);
	}
	hlsim_card_put(card);
}

static int hlsim_platform_probe(struct platform_device *pdev)
{
	return hlsim_probe(&pdev->dev);
}

static void hlsim_platform_remove(struct platform_device *pdev)
{
	hlsim_remove(&pdev->dev);
}

static const struct platform_device_id platform_ids[] = {
	{ "0000:a0:00.0" }, { "0000:a1:00.0" }, { "0000:a2:00.0" }, { "0000:a3:00.0" },
	{ "0000:a4:00.0" }, { "0000:a5:00.0" }, { "0000:a6:00.0" }, { "0000:a7:00.0" },
	{ }
};

static struct platform_driver platform_driver = {
	.probe = hlsim_platform_probe,
	.remove = hlsim_platform_remove,
	.id_table = platform_ids,
	.driver = { .name = "habanalabs", .dev_groups = NULL },
};

static int hlsim_pci_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	int ret = pcim_enable_device(pdev);

	return ret ? ret : hlsim_probe(&pdev->dev);
}

static void hlsim_pci_remove(struct pci_dev *pdev)
{
	hlsim_remove(&pdev->dev);
}

static const struct pci_device_id pci_ids[] = {
	{ PCI_DEVICE(0x1af4, 0x1110) },	/* ivshmem-plain */
	{ }
};

static struct pci_driver pci_driver = {
	.name = "habanalabs",
	.id_table = pci_ids,
	.probe = hlsim_pci_probe,
	.remove = hlsim_pci_remove,
};

static void hlsim_platform_drop(void)
{
	int i;

	for (i = 0; i < HLSIM_CARDS_MAX; i++)
		if (platform_devices[i])
			platform_device_unregister(platform_devices[i]);
}

int hlsim_cards_start(unsigned int count, bool pci)
{
	struct platform_device *pdev;
	unsigned int i;
	int ret;

	use_pci = pci;
	/* Legacy nodes carry the attributes themselves. */
	if (!hlsim_legacy) {
		platform_driver.driver.dev_groups = hlsim_groups;
		pci_driver.dev_groups = hlsim_groups;
	}
	if (pci)
		return pci_register_driver(&pci_driver);
	ret = platform_driver_register(&platform_driver);
	for (i = 0; !ret && i < count; i++) {
		pdev = platform_device_register_simple(platform_ids[i].name, PLATFORM_DEVID_NONE,
						       NULL, 0);
		ret = PTR_ERR_OR_ZERO(pdev);
		if (ret) {
			hlsim_platform_drop();
			platform_driver_unregister(&platform_driver);
			break;
		}
		platform_devices[i] = pdev;
	}
	return ret;
}

void hlsim_cards_stop(void)
{
	if (use_pci) {
		pci_unregister_driver(&pci_driver);
	} else {
		hlsim_platform_drop();
		platform_driver_unregister(&platform_driver);
	}
	idr_destroy(&cards);
}
