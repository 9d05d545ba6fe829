// SPDX-License-Identifier: GPL-2.0
/* The compute node of kernels since 6.7: an accel device. */
#include <linux/module.h>
#include <drm/drm_accel.h>
#include <drm/drm_drv.h>
#include <drm/drm_file.h>
#include <drm/drm_ioctl.h>
#include <linux/version.h>
#include "card.h"

static int hlsim_accel_open(struct drm_device *drm, struct drm_file *file)
{
	struct hlsim_user *user = hlsim_user_open(drm->dev_private);

	file->driver_priv = user;
	return PTR_ERR_OR_ZERO(user);
}

static void hlsim_accel_close(struct drm_device *drm, struct drm_file *file)
{
	hlsim_user_close(file->driver_priv);
}

static int hlsim_accel_info(struct drm_device *drm, void *args, struct drm_file *file)
{
	return hlsim_info(drm->dev_private, file->driver_priv, args);
}

static int hlsim_accel_memory(struct drm_device *drm, void *args, struct drm_file *file)
{
	return hlsim_memory(file->driver_priv, args, file->filp);
}

static void hlsim_accel_release(struct drm_device *drm)
{
	hlsim_card_put(drm->dev_private);
}

static const struct drm_ioctl_desc accel_ioctls[] = {
	DRM_IOCTL_DEF_DRV(HL_INFO, hlsim_accel_info, 0),
	DRM_IOCTL_DEF_DRV(HL_MEMORY, hlsim_accel_memory, 0),
};

/* Not DEFINE_DRM_ACCEL_FOPS: its mmap is for drivers with GEM. */
static const struct file_operations accel_fops = {
	.owner = THIS_MODULE,
	.open = accel_open,
	.release = drm_release,
	.unlocked_ioctl = drm_ioctl,
	.compat_ioctl = drm_compat_ioctl,
	.poll = drm_poll,
	.read = drm_read,
	.llseek = noop_llseek,
	.fop_flags = FOP_UNSIGNED_OFFSET,
};

static const struct drm_driver accel_driver = {
	.driver_features = DRIVER_COMPUTE_ACCEL,
	.fops = &accel_fops,
	.open = hlsim_accel_open,
	.postclose = hlsim_accel_close,
	.release = hlsim_accel_release,
	.ioctls = accel_ioctls,
	.num_ioctls = ARRAY_SIZE(accel_ioctls),
	.name = "habanalabs",
	.desc = "stand-in for the habanalabs driver",
	.date = "20260101",
	.major = LINUX_VERSION_MAJOR,
	.minor = LINUX_VERSION_PATCHLEVEL,
	.patchlevel = LINUX_VERSION_SUBLEVEL,
};

int hlsim_accel_start(struct hlsim_card *card)
{
	struct drm_device *drm = drm_dev_alloc(&accel_driver, card->parent);
	int ret;

	if (IS_ERR(drm))
		return PTR_ERR(drm);
	hlsim_card_get(card);
	drm->dev_private = card;
	card->drm = drm;
	ret = drm_dev_register(drm, 0);
	if (ret) {
		drm_dev_put(drm);
		return ret;
	}
	card->index = drm->accel->index;
	return 0;
}

void hlsim_accel_stop(struct hlsim_card *card)
{
	drm_dev_unplug(card->drm);
	drm_dev_put(card->drm);
}
