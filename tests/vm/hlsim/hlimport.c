// SPDX-License-Identifier: GPL-2.0
/*
 * An importer of dma-bufs that behaves as an RDMA driver does: it attaches dynamically, takes peer
 * memory without struct pages, keeps the dma-buf for as long as a registration lives, and lets go
 * of all when the file that registered is closed. Its DMA engine is the processor, and it stands
 * behind no IOMMU: the addresses of a mapping are physical ones, and lead to memory of the machine.
 */
#include <linux/debugfs.h>
#include <linux/dma-buf.h>
#include <linux/dma-mapping.h>
#include <linux/dma-resv.h>
#include <linux/highmem.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/pid.h>
#include <linux/scatterlist.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/xarray.h>
#include "hlsim.h"

static bool p2p = true;
module_param(p2p, bool, 0644);
MODULE_PARM_DESC(p2p, "0: attach as a driver that cannot take peer memory");

struct hlimport_region {
	struct list_head node;	/* of all regions */
	struct dma_buf *dmabuf;
	struct dma_buf_attachment *attachment;
	struct sg_table *table;
	u64 offset;
	u64 length;
	pid_t pid;
};

struct hlimport_file {
	struct mutex lock;
	struct xarray regions;
};

static DEFINE_MUTEX(regions_lock);
static LIST_HEAD(regions);
static struct miscdevice hlimport_misc;
static struct dentry *debugfs_directory;

/* What it has mapped it keeps: it is pinned, and is not told of moves. */
static void hlimport_move_notify(struct dma_buf_attachment *attachment)
{
}

static const struct dma_buf_attach_ops peer_ops = {
	.allow_peer2peer = true,
	.move_notify = hlimport_move_notify,
};

static const struct dma_buf_attach_ops plain_ops = {
	.allow_peer2peer = false,
	.move_notify = hlimport_move_notify,
};

static int hlimport_map(struct hlimport_region *region)
{
	struct dma_buf *dmabuf = region->dmabuf;
	int ret;

	dma_resv_lock(dmabuf->resv, NULL);
	ret = dma_buf_pin(region->attachment);
	if (!ret) {
		region->table = dma_buf_map_attachment(region->attachment, DMA_BIDIRECTIONAL);
		ret = PTR_ERR_OR_ZERO(region->table);
		if (ret)
			dma_buf_unpin(region->attachment);
	}
	dma_resv_unlock(dmabuf->resv);
	return ret;
}

static void hlimport_drop(struct hlimport_region *region)
{
	mutex_lock(&regions_lock);
	list_del(&region->node);
	mutex_unlock(&regions_lock);
	dma_resv_lock(region->dmabuf->resv, NULL);
	dma_buf_unmap_attachment(region->attachment, region->table, DMA_BIDIRECTIONAL);
	dma_buf_unpin(region->attachment);
	dma_resv_unlock(region->dmabuf->resv);
	dma_buf_detach(region->dmabuf, region->attachment);
	dma_buf_put(region->dmabuf);
	kfree(region);
}

static struct hlimport_region *hlimport_make(const struct hlimport_register *args)
{
	struct hlimport_region *region = kzalloc(sizeof(*region), GFP_KERNEL);
	int ret;

	if (!region)
		return ERR_PTR(-ENOMEM);
	region->dmabuf = dma_buf_get(args->fd);
	ret = PTR_ERR_OR_ZERO(region->dmabuf);
	if (ret)
		goto no_dmabuf;
	ret = -EINVAL;
	if (!args->length || args->length > region->dmabuf->size ||
	    args->offset > region->dmabuf->size - args->length)
		goto no_attachment;
	region->offset = args->offset;
	region->length = args->length;
	region->pid = task_tgid_nr(current);
	region->attachment = dma_buf_dynamic_attach(region->dmabuf, hlimport_misc.this_device,
						    p2p ? &peer_ops : &plain_ops, region);
	ret = PTR_ERR_OR_ZERO(region->attachment);
	if (ret)
		goto no_attachment;
	ret = hlimport_map(region);
	if (ret)
		goto no_mapping;
	mutex_lock(&regions_lock);
	list_add_tail(&region->node, &regions);
	mutex_unlock(&regions_lock);
	return region;

no_mapping:
	dma_buf_detach(region->dmabuf, region->attachment);
no_attachment:
	dma_buf_put(region->dmabuf);
no_dmabuf:
	kfree(region);
	return ERR_PTR(ret);
}

static int hlimport_register(struct hlimport_file *own, void __user *arg)
{
	struct hlimport_register args;
	struct hlimport_region *region;
	int ret;

	if (copy_from_user(&args, arg, sizeof(args)))
		return -EFAULT;
	region = hlimport_make(&args);
	if (IS_ERR(region))
		return PTR_ERR(region);
	ret = xa_alloc(&own->regions, &args.id, region, xa_limit_31b, GFP_KERNEL);
	if (ret)
		goto drop;
	ret = copy_to_user(arg, &args, sizeof(args)) ? -EFAULT : 0;
	if (!ret)
		return 0;
	xa_erase(&own->regions, args.id);
drop:
	hlimport_drop(region);
	return ret;
}

static int hlimport_deregister(struct hlimport_file *own, unsigned long id)
{
	struct hlimport_region *region = xa_erase(&own->regions, id);

	if (!region)
		return -ENOENT;
	hlimport_drop(region);
	return 0;
}

/* The bytes at one bus address, which lie in one page. */
static int hlimport_touch(dma_addr_t address, u8 __user *bytes, size_t length, bool write)
{
	u8 *page = kmap_local_page(pfn_to_page(PHYS_PFN(address)));
	unsigned long left = write ?
		copy_from_user(page + offset_in_page(address), bytes, length) :
		copy_to_user(bytes, page + offset_in_page(address), length);

	kunmap_local(page);
	return left ? -EFAULT : 0;
}

static int hlimport_copy_region(const struct hlimport_region *region,
				const struct hlimport_copy *args, bool write)
{
	u64 skip = region->offset + args->offset, left = args->length, part, address;
	u8 __user *bytes = u64_to_user_ptr(args->bytes);
	struct scatterlist *list;
	int i;

	if (args->length > region->length || args->offset > region->length - args->length)
		return -EINVAL;
	for_each_sgtable_dma_sg(region->table, list, i) {
		if (skip >= sg_dma_len(list)) {
			skip -= sg_dma_len(list);
			continue;
		}
		for (; left && skip < sg_dma_len(list); skip += part, left -= part, bytes += part) {
			address = sg_dma_address(list) + skip;
			part = min3(left, (u64)sg_dma_len(list) - skip,
				    (u64)PAGE_SIZE - offset_in_page(address));
			if (hlimport_touch(address, bytes, part, write))
				return -EFAULT;
		}
		skip = 0;
	}
	return left ? -EIO : 0;	/* the exporter gave less than its dma-buf says */
}

static int hlimport_copy(struct hlimport_file *own, void __user *arg, bool write)
{
	struct hlimport_region *region;
	struct hlimport_copy args;

	if (copy_from_user(&args, arg, sizeof(args)))
		return -EFAULT;
	region = xa_load(&own->regions, args.id);
	return region ? hlimport_copy_region(region, &args, write) : -ENOENT;
}

static long hlimport_ioctl(struct file *file, unsigned int command, unsigned long arg)
{
	struct hlimport_file *own = file->private_data;
	void __user *user = (void __user *)arg;
	long ret;

	mutex_lock(&own->lock);
	switch (command) {
	case HLIMPORT_REGISTER:
		ret = hlimport_register(own, user);
		break;
	case HLIMPORT_DEREGISTER:
		ret = hlimport_deregister(own, arg);
		break;
	case HLIMPORT_READ:
		ret = hlimport_copy(own, user, false);
		break;
	case HLIMPORT_WRITE:
		ret = hlimport_copy(own, user, true);
		break;
	default:
		ret = -ENOTTY;
	}
	mutex_unlock(&own->lock);
	return ret;
}

static int hlimport_open(struct inode *inode, struct file *file)
{
	struct hlimport_file *own = kzalloc(sizeof(*own), GFP_KERNEL);

	if (!own)
		return -ENOMEM;
	mutex_init(&own->lock);
	xa_init_flags(&own->regions, XA_FLAGS_ALLOC1);
	file->private_data = own;
	return 0;
}

static int hlimport_release(struct inode *inode, struct file *file)
{
	struct hlimport_file *own = file->private_data;
	struct hlimport_region *region;
	unsigned long id;

	xa_for_each(&own->regions, id, region)
		hlimport_drop(region);
	xa_destroy(&own->regions);
	kfree(own);
	return 0;
}

static const struct file_operations hlimport_fops = {
	.owner = THIS_MODULE,
	.open = hlimport_open,
	.release = hlimport_release,
	.unlocked_ioctl = hlimport_ioctl,
};

static struct miscdevice hlimport_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "hlimport",
	.fops = &hlimport_fops,
};

static int held_show(struct seq_file *out, void *unused)
{
	const struct hlimport_region *region;

	mutex_lock(&regions_lock);
	list_for_each_entry(region, &regions, node)
		seq_printf(out, "pid=%d ino=%lu exp=%s offset=%llu length=%llu\n", region->pid,
			   file_inode(region->dmabuf->file)->i_ino, region->dmabuf->exp_name,
			   region->offset, region->length);
	mutex_unlock(&regions_lock);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(held);

static int __init hlimport_init(void)
{
	int ret = misc_register(&hlimport_misc);

	if (ret)
		return ret;
	ret = dma_coerce_mask_and_coherent(hlimport_misc.this_device, DMA_BIT_MASK(64));
	if (ret) {
		misc_deregister(&hlimport_misc);
		return ret;
	}
	debugfs_directory = debugfs_create_dir("hlimport", NULL);
	debugfs_create_file("held", 0444, debugfs_directory, NULL, &held_fops);
	return 0;
}

static void __exit hlimport_exit(void)
{
	debugfs_remove(debugfs_directory);
	misc_deregister(&hlimport_misc);
}

module_init(hlimport_init);
module_exit(hlimport_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("importer of dma-bufs, for tests of hl-bufd");
MODULE_IMPORT_NS(DMA_BUF);
