/* SPDX-License-Identifier: GPL-2.0 */
/* What the files of the stand-in share: a card, its user, and what that user has of its memory. */
#ifndef HLBUF_TESTS_VM_HLSIM_CARD_H
#define HLBUF_TESTS_VM_HLSIM_CARD_H

#include <linux/bitmap.h>
#include <linux/device.h>
#include <linux/idr.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <drm/drm_device.h>
#include <uapi/drm/habanalabs_accel.h>
#include "hlsim.h"

#define HLSIM_CARDS_MAX 8
#define HLSIM_DEBUGFS_FILES 6

enum hlsim_place {	/* where a call can be made to fail */
	AT_OPEN, AT_CONTROL, AT_INFO, AT_HW_IP, AT_DRAM_USAGE, AT_STATUS, AT_RESET_COUNT,
	AT_OPEN_STATS, AT_REGISTER_EVENTFD, AT_GET_EVENTS, AT_ALLOC, AT_FREE, AT_MAP, AT_UNMAP,
	AT_EXPORT, AT_IMPORT, AT_END
};

struct hlsim_fault {
	int error;		/* negative errno */
	unsigned int after;	/* calls that still succeed */
	unsigned int count;	/* calls that then fail */
};

struct hlsim_card {
	struct kref ref;
	int id;			/* the driver's own number, by which a control node finds it */
	int index;		/* N of the nodes */
	struct device *parent;	/* what the driver is bound to */
	struct drm_device *drm;	/* NULL with legacy nodes */
	struct device *legacy;	/* hlN */
	struct device *control;

	/*
	 * Of all that follows, but for what has a lock of its own. Held for no longer than a call
	 * takes; dma-bufs are made with it, so it is not taken with a dma-buf's lock held.
	 */
	struct mutex lock;
	wait_queue_head_t changed;	/* user, removed, hang_reset or hold_calls */

	bool in_reset;		/* hard */
	bool in_compute_reset;	/* after a release */
	bool disabled;
	bool needs_reset;
	bool in_creation;
	bool removed;
	u32 hard_resets;
	u32 soft_resets;
	unsigned int trials;	/* of this reset, to get rid of the user */
	bool firmware_cause;	/* of this reset */
	bool firmware_again;	/* of the last one, and nobody has opened since */
	struct delayed_work reset;
	struct delayed_work watchdog;
	bool watchdog_active;
	u32 watchdog_ms;
	u32 fail_resets;
	bool hang_reset;
	bool busy_close;
	bool hold_calls;	/* of MEMORY, which have no lock meanwhile */

	struct hlsim_user *user;	/* whom a reset has to wait for */
	bool active;		/* is_compute_ctx_active */
	bool releasing;		/* compute_ctx_in_release */
	u64 opened;
	ktime_t opened_at;
	u64 last_open_ms;

	u64 base;		/* physical address of the first byte that users may have */
	u64 bytes;		/* from there to the end */
	u64 chunk_bytes;	/* the driver's DRAM page */
	u64 bar_bytes;		/* how much of it importers can reach */
	u64 used;
	unsigned int chunks;
	unsigned long *taken;	/* a bit for each chunk */
	struct page **pages;	/* made when first needed, kept until the card goes */
	struct mutex pages_lock;	/* of pages alone: importers map under a dma-buf's lock */
	struct idr handles;

	struct hlsim_fault faults[AT_END];
	spinlock_t faults_lock;	/* of faults alone, for the same reason */
	struct dentry *files[HLSIM_DEBUGFS_FILES];
	struct dentry *directory;	/* ours, with legacy nodes */
};

/* An open compute node: the driver's context and its process-private part, in one. */
struct hlsim_user {
	struct kref ref;	/* the open file, and each dma-buf */
	struct hlsim_card *card;
	struct pid *opener;	/* the thread that called open(), whoever has the descriptor now */
	struct eventfd_ctx *eventfd;
	u64 events;
	struct list_head blocks;
	struct list_head mappings;	/* by address */
	u64 bytes;
	unsigned int exports;
};

struct hlsim_block {	/* what ALLOC gives */
	struct list_head node;
	u32 handle;
	unsigned int mapped;
	u64 bytes;
	unsigned int chunks;
	u32 chunk[];
};

struct hlsim_mapping {	/* what MAP gives */
	struct list_head node;
	u64 address;
	u64 bytes;
	struct hlsim_block *block;	/* NULL: host memory */
	unsigned int exports;
	u64 exported_bytes;	/* kernels before 6.7: of all exports alike */
};

/* main.c */
extern unsigned int hlsim_legacy, hlsim_page_mib, hlsim_dram_mib, hlsim_bar_mib, hlsim_watchdog_ms,
	hlsim_kill_delay_ms, hlsim_pending_ms, hlsim_retry_ms, hlsim_retries_max, hlsim_reset_ms,
	hlsim_release_ms;
extern bool hlsim_p2pdma, hlsim_memory_scrub, hlsim_secured, hlsim_swap_control;
bool hlsim_is_gaudi(void);	/* physical addresses, no allocator */

/* cards.c */
int hlsim_cards_start(unsigned int count, bool pci);
void hlsim_cards_stop(void);
struct hlsim_card *hlsim_card_find(int id);	/* a reference, or NULL */
void hlsim_card_get(struct hlsim_card *card);
void hlsim_card_put(struct hlsim_card *card);

/* nodes: accel.c, legacy.c, control.c */
int hlsim_accel_start(struct hlsim_card *card);
void hlsim_accel_stop(struct hlsim_card *card);
int hlsim_legacy_init(void);
void hlsim_legacy_exit(void);
int hlsim_legacy_start(struct hlsim_card *card);
void hlsim_legacy_stop(struct hlsim_card *card);
int hlsim_control_init(void);
void hlsim_control_exit(void);
int hlsim_control_start(struct hlsim_card *card);
void hlsim_control_stop(struct hlsim_card *card);
int hlsim_control_open(struct file *file, int id);
extern const struct file_operations hlsim_control_fops;
/* A call of a node without DRM: copies `size` bytes in, and out again whatever happened. */
long hlsim_call(struct file *file, unsigned long arg, size_t size,
		int (*call)(struct file *file, void *args));

/* compute.c */
struct hlsim_user *hlsim_user_open(struct hlsim_card *card);
void hlsim_user_close(struct hlsim_user *user);
void hlsim_user_put(struct hlsim_user *user);

/* info.c; user: NULL from the control node */
int hlsim_info(struct hlsim_card *card, struct hlsim_user *user, struct hl_info_args *args);

/* memory.c */
int hlsim_memory_init(struct hlsim_card *card);
void hlsim_memory_fini(struct hlsim_card *card);
struct page *hlsim_page(struct hlsim_card *card, u64 offset);
void hlsim_memory_scrub_now(struct hlsim_card *card);
/* with card->lock */
int hlsim_alloc(struct hlsim_user *user, u64 bytes, u32 flags, u64 *handle);
int hlsim_free(struct hlsim_user *user, union hl_mem_args *args);
void hlsim_block_free(struct hlsim_user *user, struct hlsim_block *block);

/* vm.c; with card->lock, but for the first */
int hlsim_memory(struct hlsim_user *user, union hl_mem_args *args, struct file *file);
struct hlsim_mapping *hlsim_mapping_find(struct hlsim_user *user, u64 address);
void hlsim_user_forget(struct hlsim_user *user);

/* dmabuf.c */
int hlsim_export(struct hlsim_user *user, union hl_mem_args *args, struct file *file);

/* reset.c */
enum hl_device_status hlsim_status(struct hlsim_card *card);
const char *hlsim_status_name(enum hl_device_status status);
bool hlsim_operational(struct hlsim_card *card);
void hlsim_pause(struct hlsim_card *card, unsigned int ms);
void hlsim_reset_init(struct hlsim_card *card);
void hlsim_reset_stop(struct hlsim_card *card);
void hlsim_hard_reset(struct hlsim_card *card);
void hlsim_hard_reset_locked(struct hlsim_card *card);
void hlsim_reset_hardware(struct hlsim_card *card);
void hlsim_kill_opener(struct hlsim_card *card);

/* window.c */
void hlsim_notify(struct hlsim_card *card, u64 mask);	/* with card->lock */
void hlsim_reset_by_event(struct hlsim_card *card, u64 mask, bool window, bool firmware);
void hlsim_watchdog(struct work_struct *work);

/* sysfs.c, debugfs.c, inject.c */
extern const struct attribute_group *hlsim_groups[];
void hlsim_debugfs_init(void);
void hlsim_debugfs_exit(void);
void hlsim_debugfs_start(struct hlsim_card *card);
void hlsim_debugfs_stop(struct hlsim_card *card);
int hlsim_fault(struct hlsim_card *card, enum hlsim_place place);
int hlsim_fault_add(struct hlsim_card *card, char *words);
void hlsim_faults_show(struct hlsim_card *card, struct seq_file *out);

#endif
