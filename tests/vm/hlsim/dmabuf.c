// SPDX-License-Identifier: GPL-2.0
/*
 * EXPORT_DMABUF_FD. Importers get addresses without struct pages, as of a BAR: here, physical
 * addresses of the card's pages, which a device behind no IOMMU would put on the bus. There is no
 * mmap, no CPU access and no notice before a reset.
 */
#include <linux/dma-buf.h>
#include <linux/dma-mapping.h>
#include <linux/file.h>
#include <linux/math64.h>
#include <linux/module.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include "card.h"

struct hlsim_export {
	struct hlsim_user *user;
	struct hlsim_mapping *mapping;	/* NULL: a physical range */
	u64 offset;			/* into the mapping; else from the card's base */
	u64 bytes;
	struct file *file;		/* the compute node, which stays open with it */
};

/* What an importer gets to see. */
struct hlsim_range {
	u64 offset;
	u64 bytes;
};

/*
 * (deduced) Kernels before 6.7 map the start of an allocation, whatever offset was asked for, and
 * as much of it as the last export of the same mapping had.
 */
static struct hlsim_range hlsim_range_of(const struct hlsim_export *export)
{
	struct hlsim_range range = { export->offset, export->bytes };

	if (hlsim_legacy && export->mapping) {
		range.offset = 0;
		range.bytes = READ_ONCE(export->mapping->exported_bytes);
	}
	return range;
}

static struct page *hlsim_export_page(const struct hlsim_export *export, u64 offset)
{
	struct hlsim_card *card = export->user->card;
	u64 chunk, rest;

	if (!export->mapping)
		return hlsim_page(card, offset);
	chunk = div64_u64_rem(offset, card->chunk_bytes, &rest);
	return hlsim_page(card, export->mapping->block->chunk[chunk] * card->chunk_bytes + rest);
}

/* Fills the list, or only counts when there is none. Returns the number of segments. */
static int hlsim_fill(const struct hlsim_export *export, struct hlsim_range range,
		      struct scatterlist *list, u32 segment_max)
{
	u64 offset = range.offset, end = offset + range.bytes;
	dma_addr_t next = 0;
	u32 length = 0;
	int segments = 0;

	for (; offset < end; offset += PAGE_SIZE) {
		struct page *page = hlsim_export_page(export, offset);

		if (!page)
			return -ENOMEM;
		if (!segments || page_to_phys(page) != next || length + PAGE_SIZE > segment_max) {
			if (list && segments)
				list = sg_next(list);
			segments++;
			length = 0;
			if (list)
				sg_dma_address(list) = page_to_phys(page);
		}
		length += PAGE_SIZE;
		next = page_to_phys(page) + PAGE_SIZE;
		if (list)
			sg_dma_len(list) = length;
	}
	return segments;
}

static struct sg_table *hlsim_make_table(const struct hlsim_export *export, struct device *dev)
{
	u32 segment_max = ALIGN_DOWN(dma_get_max_seg_size(dev), PAGE_SIZE);
	struct hlsim_range range = hlsim_range_of(export);
	struct sg_table *table;
	int segments = hlsim_fill(export, range, NULL, segment_max);

	if (segments < 0)
		return ERR_PTR(segments);
	table = kzalloc(sizeof(*table), GFP_KERNEL);
	if (!table)
		return ERR_PTR(-ENOMEM);
	if (sg_alloc_table(table, segments, GFP_KERNEL)) {
		kfree(table);
		return ERR_PTR(-ENOMEM);
	}
	hlsim_fill(export, range, table->sgl, segment_max);
	table->orig_nents = 0;	/* says that there are no pages */
	return table;
}

/* A kernel without P2PDMA knows no distance to any importer. */
static int hlsim_dmabuf_attach(struct dma_buf *dmabuf, struct dma_buf_attachment *attachment)
{
	if (!hlsim_p2pdma)
		attachment->peer2peer = false;
	return 0;
}

/*
 * (deduced) The state of the device is not looked at: a reset does not keep importers away.
 * What was exported stays where it is for as long as the export lives.
 */
static struct sg_table *hlsim_dmabuf_map(struct dma_buf_attachment *attachment,
					 enum dma_data_direction direction)
{
	struct hlsim_export *export = attachment->dmabuf->priv;
	int ret;

	if (!attachment->peer2peer)
		return ERR_PTR(-EPERM);
	ret = hlsim_fault(export->user->card, AT_IMPORT);
	return ret ? ERR_PTR(ret) : hlsim_make_table(export, attachment->dev);
}

static void hlsim_dmabuf_unmap(struct dma_buf_attachment *attachment, struct sg_table *table,
			       enum dma_data_direction direction)
{
	table->orig_nents = table->nents;
	sg_free_table(table);
	kfree(table);
}

static void hlsim_dmabuf_release(struct dma_buf *dmabuf)
{
	struct hlsim_export *export = dmabuf->priv;
	struct hlsim_user *user = export->user;

	mutex_lock(&user->card->lock);
	if (export->mapping)
		export->mapping->exports--;
	user->exports--;
	mutex_unlock(&user->card->lock);
	hlsim_user_put(user);
	if (export->file)
		fput(export->file);
	kfree(export);
}

static const struct dma_buf_ops hlsim_dmabuf_ops = {
	.attach = hlsim_dmabuf_attach,
	.map_dma_buf = hlsim_dmabuf_map,
	.unmap_dma_buf = hlsim_dmabuf_unmap,
	.release = hlsim_dmabuf_release,
};

static int hlsim_check_physical(struct hlsim_card *card, struct hlsim_export *export, u64 address,
				u64 offset)
{
	if (offset && hlsim_legacy != 61)
		return -EINVAL;
	if (address < card->base || address > card->base + card->bytes ||
	    export->bytes > card->base + card->bytes - address)
		return -EINVAL;
	export->offset = address - card->base;
	return export->offset + export->bytes > card->bar_bytes ? -EINVAL : 0;
}

/* The whole allocation has to lie in the BAR, not just the window. */
static int hlsim_check_virtual(struct hlsim_user *user, struct hlsim_export *export, u64 address,
			       u64 offset)
{
	struct hlsim_mapping *mapping = hlsim_mapping_find(user, address);
	struct hlsim_card *card = user->card;
	unsigned int i;

	if (!mapping || !mapping->block)
		return -EINVAL;
	if (export->bytes > mapping->bytes || offset > mapping->bytes - export->bytes)
		return -EINVAL;
	for (i = 0; i < mapping->block->chunks; i++)
		if ((mapping->block->chunk[i] + 1ULL) * card->chunk_bytes > card->bar_bytes)
			return -EINVAL;
	export->mapping = mapping;
	export->offset = offset;
	return 0;
}

static int hlsim_check_export(struct hlsim_user *user, struct hlsim_export *export,
			      const union hl_mem_args *args)
{
	u64 address = args->in.export_dmabuf_fd.addr, offset = args->in.export_dmabuf_fd.offset;

	export->bytes = args->in.export_dmabuf_fd.mem_size;
	if (hlsim_legacy == 61 && !hlsim_is_gaudi())
		return -EOPNOTSUPP;
	if (!PAGE_ALIGNED(address))
		return -EINVAL;
	if (hlsim_legacy) {
		if (export->bytes < PAGE_SIZE)
			return -EINVAL;
		export->bytes = PAGE_ALIGN(export->bytes);
	} else if (!export->bytes || !PAGE_ALIGNED(export->bytes) || !PAGE_ALIGNED(offset)) {
		return -EINVAL;
	}
	return hlsim_is_gaudi() ? hlsim_check_physical(user->card, export, address, offset) :
				  hlsim_check_virtual(user, export, address, offset);
}

/* The descriptor is reserved first and installed last. */
static int hlsim_install(struct hlsim_export *export, int flags)
{
	DEFINE_DMA_BUF_EXPORT_INFO(info);
	struct dma_buf *dmabuf;
	int fd = get_unused_fd_flags(flags);

	if (fd < 0)
		return fd;
	info.ops = &hlsim_dmabuf_ops;
	info.size = export->bytes;
	info.flags = flags;
	info.priv = export;
	dmabuf = dma_buf_export(&info);
	if (IS_ERR(dmabuf)) {
		put_unused_fd(fd);
		return PTR_ERR(dmabuf);
	}
	if (export->file)
		get_file(export->file);
	kref_get(&export->user->ref);
	export->user->exports++;
	if (export->mapping) {
		export->mapping->exports++;
		WRITE_ONCE(export->mapping->exported_bytes, export->bytes);
	}
	fd_install(fd, dmabuf->file);
	return fd;
}

int hlsim_export(struct hlsim_user *user, union hl_mem_args *args, struct file *file)
{
	struct hlsim_export *export = kzalloc(sizeof(*export), GFP_KERNEL);
	int ret;

	if (!export)
		return -ENOMEM;
	export->user = user;
	export->file = hlsim_legacy == 61 ? NULL : file;	/* since 6.4 */
	ret = hlsim_check_export(user, export, args);
	if (!ret)
		ret = hlsim_install(export, args->in.flags);
	if (ret < 0)
		kfree(export);
	return ret;
}
