// SPDX-License-Identifier: GPL-2.0
/* What tests read and write: see hlsim.h. And what the driver has there, too. */
#include <linux/debugfs.h>
#include <linux/module.h>
#include <linux/pid.h>
#include <linux/seq_file.h>
#include <linux/uaccess.h>
#include "card.h"

static struct dentry *legacy_root;	/* as the driver's, when it has no accel nodes */

struct hlsim_command {
	const char *word;
	void (*run)(struct hlsim_card *card, u64 value);
};

static void hlsim_do_event(struct hlsim_card *card, u64 mask)
{
	mutex_lock(&card->lock);
	hlsim_notify(card, mask);
	mutex_unlock(&card->lock);
}

static void hlsim_do_graceful(struct hlsim_card *card, u64 mask)
{
	hlsim_reset_by_event(card, mask | HL_NOTIFIER_EVENT_DEVICE_RESET, true, false);
}

static void hlsim_do_firmware(struct hlsim_card *card, u64 mask)
{
	hlsim_reset_by_event(card, mask | HL_NOTIFIER_EVENT_DEVICE_RESET |
			     HL_NOTIFIER_EVENT_DEVICE_UNAVAILABLE, false, true);
}

static void hlsim_do_heartbeat(struct hlsim_card *card, u64 value)
{
	dev_err(card->parent, "Device heartbeat failed!\n");
	hlsim_reset_by_event(card, HL_NOTIFIER_EVENT_DEVICE_RESET |
			     HL_NOTIFIER_EVENT_DEVICE_UNAVAILABLE |
			     HL_NOTIFIER_EVENT_CRITICL_FW_ERR, true, true);
}

static void hlsim_do_ungraceful(struct hlsim_card *card, u64 value)
{
	hlsim_hard_reset(card);
}

static void hlsim_do_needs_reset(struct hlsim_card *card, u64 value)
{
	card->needs_reset = true;
}

static void hlsim_do_busy_close(struct hlsim_card *card, u64 value)
{
	card->busy_close = value;
}

static void hlsim_do_creation(struct hlsim_card *card, u64 value)
{
	card->in_creation = value;
}

static void hlsim_do_fail_resets(struct hlsim_card *card, u64 value)
{
	card->fail_resets = value;
}

static void hlsim_do_hang_reset(struct hlsim_card *card, u64 value)
{
	WRITE_ONCE(card->hang_reset, value);
	wake_up_all(&card->changed);
}

static void hlsim_do_hold_calls(struct hlsim_card *card, u64 value)
{
	WRITE_ONCE(card->hold_calls, value);
	wake_up_all(&card->changed);
}

static const struct hlsim_command commands[] = {
	{ HLSIM_EVENT, hlsim_do_event },
	{ HLSIM_GRACEFUL, hlsim_do_graceful },
	{ HLSIM_FIRMWARE, hlsim_do_firmware },
	{ HLSIM_HEARTBEAT, hlsim_do_heartbeat },
	{ HLSIM_UNGRACEFUL, hlsim_do_ungraceful },
	{ HLSIM_NEEDS_RESET, hlsim_do_needs_reset },
	{ HLSIM_BUSY_CLOSE, hlsim_do_busy_close },
	{ HLSIM_CREATION, hlsim_do_creation },
	{ HLSIM_FAIL_RESETS, hlsim_do_fail_resets },
	{ HLSIM_HANG_RESET, hlsim_do_hang_reset },
	{ HLSIM_HOLD_CALLS, hlsim_do_hold_calls },
};

/* One line of a write, without its end. */
static int hlsim_line(char *line, size_t room, const char __user *in, size_t size)
{
	if (!size || size >= room)
		return -EINVAL;
	if (copy_from_user(line, in, size))
		return -EFAULT;
	line[size] = '\0';
	strim(line);
	return 0;
}

static struct hlsim_card *hlsim_card_of(struct file *file)
{
	return ((struct seq_file *)file->private_data)->private;
}

static ssize_t trigger_write(struct file *file, const char __user *in, size_t size, loff_t *pos)
{
	char line[64], *value = line, *word;
	u64 number = 0;
	int i, ret = hlsim_line(line, sizeof(line), in, size);

	if (ret)
		return ret;
	word = strsep(&value, " ");
	if (value && kstrtou64(value, 0, &number))
		return -EINVAL;
	for (i = 0; i < ARRAY_SIZE(commands); i++) {
		if (!strcmp(commands[i].word, word)) {
			commands[i].run(hlsim_card_of(file), number);
			return size;
		}
	}
	return -EINVAL;
}

static int trigger_show(struct seq_file *out, void *unused)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(commands); i++)
		seq_printf(out, "%s\n", commands[i].word);
	return 0;
}

static ssize_t inject_write(struct file *file, const char __user *in, size_t size, loff_t *pos)
{
	char line[64];
	int ret = hlsim_line(line, sizeof(line), in, size);

	if (!ret)
		ret = hlsim_fault_add(hlsim_card_of(file), line);
	return ret ? ret : size;
}

static int inject_show(struct seq_file *out, void *unused)
{
	hlsim_faults_show(out->private, out);
	return 0;
}

/* As the driver: makes the card unusable, and usable again, without a reset. */
static ssize_t device_write(struct file *file, const char __user *in, size_t size, loff_t *pos)
{
	struct hlsim_card *card = hlsim_card_of(file);
	char line[16];
	int ret = hlsim_line(line, sizeof(line), in, size);

	if (ret)
		return ret;
	if (strcmp(line, "disable") && strcmp(line, "enable"))
		return -EINVAL;
	mutex_lock(&card->lock);
	card->disabled = !strcmp(line, "disable");
	mutex_unlock(&card->lock);
	return size;
}

static int device_show(struct seq_file *out, void *unused)
{
	seq_puts(out, "disable\nenable\n");
	return 0;
}

static ssize_t watchdog_store(struct file *file, const char __user *in, size_t size, u32 unit)
{
	char line[16];
	u32 value;
	int ret = hlsim_line(line, sizeof(line), in, size);

	if (!ret)
		ret = kstrtou32(line, 10, &value);
	if (!ret && value > U32_MAX / unit)
		ret = -ERANGE;
	if (ret)
		return ret;
	WRITE_ONCE(hlsim_card_of(file)->watchdog_ms, value * unit);
	return size;
}

static ssize_t watchdog_ms_write(struct file *file, const char __user *in, size_t size, loff_t *pos)
{
	return watchdog_store(file, in, size, 1);
}

static int watchdog_ms_show(struct seq_file *out, void *unused)
{
	struct hlsim_card *card = out->private;

	seq_printf(out, "%u\n", READ_ONCE(card->watchdog_ms));
	return 0;
}

static ssize_t watchdog_s_write(struct file *file, const char __user *in, size_t size, loff_t *pos)
{
	return watchdog_store(file, in, size, 1000);
}

static int watchdog_s_show(struct seq_file *out, void *unused)
{
	struct hlsim_card *card = out->private;

	seq_printf(out, "%u\n", DIV_ROUND_UP(READ_ONCE(card->watchdog_ms), 1000));
	return 0;
}

static void hlsim_show_user(struct seq_file *out, const struct hlsim_user *user)
{
	const struct hlsim_mapping *mapping;
	const struct hlsim_block *block;

	seq_printf(out, "opener=%d eventfd=%d events=%#llx bytes=%llu exports=%u\n",
		   pid_nr(user->opener), !!user->eventfd, user->events, user->bytes, user->exports);
	list_for_each_entry(block, &user->blocks, node)
		seq_printf(out, "handle=%u bytes=%llu mapped=%u\n", block->handle, block->bytes,
			   block->mapped);
	list_for_each_entry(mapping, &user->mappings, node)
		seq_printf(out, "address=%#llx bytes=%llu exports=%u\n", mapping->address,
			   mapping->bytes, mapping->exports);
}

static int state_show(struct seq_file *out, void *unused)
{
	struct hlsim_card *card = out->private;

	mutex_lock(&card->lock);
	seq_printf(out, "status=%s\n", hlsim_status_name(hlsim_status(card)));
	seq_printf(out, "active=%d releasing=%d watchdog=%d trials=%u hard=%u used=%llu\n",
		   card->active, card->releasing, card->watchdog_active, card->trials,
		   card->hard_resets, card->used);
	if (card->user)
		hlsim_show_user(out, card->user);
	mutex_unlock(&card->lock);
	return 0;
}

#define HLSIM_FILE(name, write_it) \
static int name##_open(struct inode *inode, struct file *file) \
{ \
	return single_open(file, name##_show, inode->i_private); \
} \
static const struct file_operations name##_fops = { \
	.owner = THIS_MODULE, .open = name##_open, .read = seq_read, .write = write_it, \
	.llseek = seq_lseek, .release = single_release, \
}

HLSIM_FILE(trigger, trigger_write);
HLSIM_FILE(inject, inject_write);
HLSIM_FILE(state, NULL);
HLSIM_FILE(device, device_write);
HLSIM_FILE(watchdog_ms, watchdog_ms_write);
HLSIM_FILE(watchdog_s, watchdog_s_write);

static const struct {
	const char *name;
	const struct file_operations *fops;
} files[HLSIM_DEBUGFS_FILES] = {
	{ "trigger", &trigger_fops },
	{ "inject", &inject_fops },
	{ "state", &state_fops },
	{ "device", &device_fops },
	{ "watchdog_ms", &watchdog_ms_fops },
	{ "device_release_watchdog_timeout", &watchdog_s_fops },
};

void hlsim_debugfs_init(void)
{
	if (hlsim_legacy)
		legacy_root = debugfs_create_dir("habanalabs", NULL);
}

void hlsim_debugfs_exit(void)
{
	debugfs_remove(legacy_root);
}

void hlsim_debugfs_start(struct hlsim_card *card)
{
	char name[16];
	int i;

	if (hlsim_legacy) {
		snprintf(name, sizeof(name), "hl%d", card->index);
		card->directory = debugfs_create_dir(name, legacy_root);
	}
	for (i = 0; i < HLSIM_DEBUGFS_FILES; i++)
		card->files[i] = debugfs_create_file(files[i].name, 0644,
						     hlsim_legacy ? card->directory :
								    card->drm->debugfs_root,
						     card, files[i].fops);
}

void hlsim_debugfs_stop(struct hlsim_card *card)
{
	int i;

	for (i = 0; i < HLSIM_DEBUGFS_FILES; i++)
		debugfs_remove(card->files[i]);
	debugfs_remove(card->directory);
}
