// SPDX-License-Identifier: GPL-2.0
/* The nodes of kernels before 6.7: class habanalabs, hlN and hl_controlDN, ioctls of magic 'H'. */
#include <linux/cdev.h>
#include <linux/fs.h>
#include <linux/module.h>
#include "card.h"

#define MINORS 256	/* two for each card */

static dev_t legacy_devt;
static struct cdev legacy_cdev;
static struct class *legacy_class;
static const struct file_operations compute_fops;

static int hlsim_legacy_open_compute(struct file *file, int id)
{
	struct hlsim_card *card = hlsim_card_find(id);
	struct hlsim_user *user;

	if (!card)
		return -ENXIO;
	user = hlsim_user_open(card);
	hlsim_card_put(card);
	if (IS_ERR(user))
		return PTR_ERR(user);
	file->private_data = user;
	return 0;
}

static int hlsim_legacy_open(struct inode *inode, struct file *file)
{
	int id = iminor(inode) / 2;

	if (iminor(inode) % 2 == 0)
		return hlsim_legacy_open_compute(file, id);
	replace_fops(file, fops_get(&hlsim_control_fops));
	return hlsim_control_open(file, id);
}

static int hlsim_legacy_release(struct inode *inode, struct file *file)
{
	hlsim_user_close(file->private_data);
	return 0;
}

static int hlsim_legacy_info(struct file *file, void *args)
{
	struct hlsim_user *user = file->private_data;

	return hlsim_info(user->card, user, args);
}

static int hlsim_legacy_memory(struct file *file, void *args)
{
	return hlsim_memory(file->private_data, args, file);
}

static long hlsim_legacy_ioctl(struct file *file, unsigned int command, unsigned long arg)
{
	struct hlsim_user *user = file->private_data;

	if (READ_ONCE(user->card->removed))
		return -ENODEV;
	switch (command) {
	case _IOWR('H', 0x01, struct hl_info_args):
		return hlsim_call(file, arg, sizeof(struct hl_info_args), hlsim_legacy_info);
	case _IOWR('H', 0x05, union hl_mem_args):
		return hlsim_call(file, arg, sizeof(union hl_mem_args), hlsim_legacy_memory);
	default:
		return -ENOTTY;
	}
}

static const struct file_operations compute_fops = {
	.owner = THIS_MODULE,
	.open = hlsim_legacy_open,
	.release = hlsim_legacy_release,
	.unlocked_ioctl = hlsim_legacy_ioctl,
};

int hlsim_legacy_init(void)
{
	int ret = alloc_chrdev_region(&legacy_devt, 0, MINORS, "habanalabs");

	if (ret)
		return ret;
	legacy_class = class_create("habanalabs");
	ret = PTR_ERR_OR_ZERO(legacy_class);
	if (ret)
		goto no_class;
	cdev_init(&legacy_cdev, &compute_fops);
	legacy_cdev.owner = THIS_MODULE;
	ret = cdev_add(&legacy_cdev, legacy_devt, MINORS);
	if (!ret)
		return 0;
	class_destroy(legacy_class);
no_class:
	unregister_chrdev_region(legacy_devt, MINORS);
	return ret;
}

void hlsim_legacy_exit(void)
{
	cdev_del(&legacy_cdev);
	class_destroy(legacy_class);
	unregister_chrdev_region(legacy_devt, MINORS);
}

int hlsim_legacy_start(struct hlsim_card *card)
{
	dev_t devt = legacy_devt + 2 * card->id;

	card->index = card->id;
	card->legacy = device_create_with_groups(legacy_class, NULL, devt, card, hlsim_groups,
						 "hl%d", card->id);
	if (IS_ERR(card->legacy))
		return PTR_ERR(card->legacy);
	card->control = device_create(legacy_class, NULL, devt + 1, card, "hl_controlD%d", card->id);
	if (IS_ERR(card->control)) {
		device_unregister(card->legacy);
		return PTR_ERR(card->control);
	}
	return 0;
}

void hlsim_legacy_stop(struct hlsim_card *card)
{
	device_unregister(card->control);
	device_unregister(card->legacy);
}
