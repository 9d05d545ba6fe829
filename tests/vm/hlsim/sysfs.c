// SPDX-License-Identifier: GPL-2.0
/* Attributes: of the device that the driver is bound to, or of hlN with legacy nodes. */
#include <linux/device.h>
#include <linux/kernel.h>
#include <linux/pci.h>
#include <linux/sysfs.h>
#include "card.h"

static ssize_t status_show(struct device *dev, struct device_attribute *attribute, char *out)
{
	struct hlsim_card *card = dev_get_drvdata(dev);
	enum hl_device_status status;

	mutex_lock(&card->lock);
	status = hlsim_status(card);
	mutex_unlock(&card->lock);
	return sysfs_emit(out, "%s\n", hlsim_status_name(status));
}
static DEVICE_ATTR_RO(status);

/* Any number will do. Returns before the reset has begun. */
static ssize_t hard_reset_store(struct device *dev, struct device_attribute *attribute,
				const char *in, size_t size)
{
	unsigned long value;
	int ret = kstrtoul(in, 0, &value);

	if (ret)
		return ret;
	hlsim_hard_reset(dev_get_drvdata(dev));
	return size;
}
static DEVICE_ATTR_WO(hard_reset);

static ssize_t hard_reset_cnt_show(struct device *dev, struct device_attribute *attribute, char *out)
{
	struct hlsim_card *card = dev_get_drvdata(dev);

	return sysfs_emit(out, "%u\n", READ_ONCE(card->hard_resets));
}
static DEVICE_ATTR_RO(hard_reset_cnt);

static ssize_t device_type_show(struct device *dev, struct device_attribute *attribute, char *out)
{
	return sysfs_emit(out, "%s\n", hlsim_is_gaudi() ? "GAUDI" : "GAUDI2");
}
static DEVICE_ATTR_RO(device_type);

static ssize_t pci_addr_show(struct device *dev, struct device_attribute *attribute, char *out)
{
	struct hlsim_card *card = dev_get_drvdata(dev);

	return sysfs_emit(out, "%s\n", dev_name(card->parent));
}
static DEVICE_ATTR_RO(pci_addr);

static ssize_t parent_device_show(struct device *dev, struct device_attribute *attribute, char *out)
{
	return pci_addr_show(dev, attribute, out);
}
static DEVICE_ATTR_RO(parent_device);

static ssize_t module_id_show(struct device *dev, struct device_attribute *attribute, char *out)
{
	struct hlsim_card *card = dev_get_drvdata(dev);

	return sysfs_emit(out, "%d\n", card->id);
}
static DEVICE_ATTR_RO(module_id);

static ssize_t security_enabled_show(struct device *dev, struct device_attribute *attribute,
				     char *out)
{
	return sysfs_emit(out, "%d\n", hlsim_secured);
}
static DEVICE_ATTR_RO(security_enabled);

/*
 * What PCI shows of a card's BARs, one a line: the fourth has the memory, with what is reserved in
 * front of it. Cards that are PCI devices here have this file of the kernel, with other BARs.
 */
static ssize_t resource_show(struct device *dev, struct device_attribute *attribute, char *out)
{
	const u64 start = 0x4000000000ULL, flags = 0x14220c;
	struct hlsim_card *card = dev_get_drvdata(dev);
	u64 bytes = card->bar_bytes + (hlsim_is_gaudi() ? card->base : card->chunk_bytes);
	int bar, size = 0;

	for (bar = 0; bar < 6; bar++)
		size += sysfs_emit_at(out, size, "0x%016llx 0x%016llx 0x%016llx\n",
				      bar == 4 ? start : 0, bar == 4 ? start + bytes - 1 : 0,
				      bar == 4 ? flags : 0);
	return size;
}
static DEVICE_ATTR_RO(resource);

static struct attribute *attributes[] = {
	&dev_attr_status.attr,
	&dev_attr_hard_reset.attr,
	&dev_attr_hard_reset_cnt.attr,
	&dev_attr_device_type.attr,
	&dev_attr_pci_addr.attr,
	&dev_attr_parent_device.attr,
	&dev_attr_module_id.attr,
	&dev_attr_security_enabled.attr,
	&dev_attr_resource.attr,
	NULL
};

/* parent_device is younger than the accel nodes. */
static umode_t hlsim_visible(struct kobject *object, struct attribute *attribute, int index)
{
	if (attribute == &dev_attr_resource.attr)
		return hlsim_legacy || dev_is_pci(kobj_to_dev(object)) ? 0 : attribute->mode;
	return hlsim_legacy && attribute == &dev_attr_parent_device.attr ? 0 : attribute->mode;
}

static const struct attribute_group group = { .attrs = attributes, .is_visible = hlsim_visible };
const struct attribute_group *hlsim_groups[] = { &group, NULL };
