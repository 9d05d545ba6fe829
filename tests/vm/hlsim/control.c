// SPDX-License-Identifier: GPL-2.0
/* The control nodes: any number of openers, INFO alone. */
#include <linux/cdev.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <drm/drm_file.h>
#include "card.h"

#define MINORS 256	/* as the driver's HL_MAX_MINORS */

static dev_t control_devt;
static struct cdev control_cdev;

long hlsim_call(struct file *file, unsigned long arg, size_t size,
		int (*call)(struct file *file, void *args))
{
	u8 args[64] = { };
	int ret;

	if (size > sizeof(args))
		return -ENOTTY;
	if (copy_from_user(args, (void __user *)arg, size))
		return -EFAULT;
	ret = call(file, args);
	if (copy_to_user((void __user *)arg, args, size))
		return -EFAULT;
	return ret;
}

int hlsim_control_open(struct file *file, int id)
{
	struct hlsim_card *card = hlsim_card_find(id);
	int ret;

	if (!card)
		return -ENXIO;
	mutex_lock(&card->lock);
	ret = hlsim_fault(card, AT_CONTROL);
	/* In a reset it opens; a card that is given up does not. */
	if (!ret && hlsim_status(card) == HL_DEVICE_STATUS_MALFUNCTION)
		ret = -EPERM;
	mutex_unlock(&card->lock);
	if (ret)
		hlsim_card_put(card);
	else
		file->private_data = card;
	return ret;
}

/*
 * (deduced) The node's minor is the number of the accel node, but the card is looked up by the
 * driver's own: with other accel drivers, or cards probed out of order, it is another card's.
 */
static int hlsim_accel_control_open(struct inode *inode, struct file *file)
{
	int id = iminor(inode);

	return hlsim_control_open(file, hlsim_swap_control ? id ^ 1 : id);
}

static int hlsim_control_release(struct inode *inode, struct file *file)
{
	hlsim_card_put(file->private_data);
	return 0;
}

static int hlsim_control_info(struct file *file, void *args)
{
	struct hlsim_card *card = file->private_data;

	return READ_ONCE(card->removed) ? -ENODEV : hlsim_info(card, NULL, args);
}

static long hlsim_control_ioctl(struct file *file, unsigned int command, unsigned long arg)
{
	unsigned int info = hlsim_legacy ? _IOWR('H', 0x01, struct hl_info_args) : DRM_IOCTL_HL_INFO;

	if (command != info)
		return -ENOTTY;
	return hlsim_call(file, arg, sizeof(struct hl_info_args), hlsim_control_info);
}

/* Opened by legacy.c's own open, which knows the card by another minor. */
const struct file_operations hlsim_control_fops = {
	.owner = THIS_MODULE,
	.release = hlsim_control_release,
	.unlocked_ioctl = hlsim_control_ioctl,
};

static const struct file_operations accel_control_fops = {
	.owner = THIS_MODULE,
	.open = hlsim_accel_control_open,
	.release = hlsim_control_release,
	.unlocked_ioctl = hlsim_control_ioctl,
};

int hlsim_control_init(void)
{
	int ret = alloc_chrdev_region(&control_devt, 0, MINORS, "habanalabs");

	if (ret)
		return ret;
	cdev_init(&control_cdev, &accel_control_fops);
	control_cdev.owner = THIS_MODULE;
	ret = cdev_add(&control_cdev, control_devt, MINORS);
	if (ret)
		unregister_chrdev_region(control_devt, MINORS);
	return ret;
}

void hlsim_control_exit(void)
{
	cdev_del(&control_cdev);
	unregister_chrdev_region(control_devt, MINORS);
}

/* It has no parent: sysfs does not lead from a control node to its card. */
int hlsim_control_start(struct hlsim_card *card)
{
	card->control = device_create(card->drm->accel->kdev->class, NULL,
				      MKDEV(MAJOR(control_devt), card->index), card,
				      "accel_controlD%d", card->index);
	return PTR_ERR_OR_ZERO(card->control);
}

void hlsim_control_stop(struct hlsim_card *card)
{
	device_unregister(card->control);
}
