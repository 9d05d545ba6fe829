// SPDX-License-Identifier: Apache-2.0
// Our declarations against drm/habanalabs_accel.h, where it is installed: Linux 6.3 and later.
#include <gtest/gtest.h>

#include <utility>

#if __has_include(<drm/habanalabs_accel.h>)
#include <drm/habanalabs_accel.h>

#include "daemon/device/test_habanalabs_uapi.h"

namespace hlbuf::hl {

SAME_SIZE(InfoArgs, hl_info_args);
SAME_PLACE(InfoArgs, return_pointer, hl_info_args, return_pointer);
SAME_PLACE(InfoArgs, return_size, hl_info_args, return_size);
SAME_PLACE(InfoArgs, op, hl_info_args, op);
SAME_PLACE(InfoArgs, argument, hl_info_args, eventfd);
SAME_PLACE(InfoArgs, pad, hl_info_args, pad);

SAME_PLACE(HwIp, dram_base_address, hl_info_hw_ip_info, dram_base_address);
SAME_PLACE(HwIp, dram_size, hl_info_hw_ip_info, dram_size);
SAME_PLACE(HwIp, device_id, hl_info_hw_ip_info, device_id);
SAME_PLACE(HwIp, module_id, hl_info_hw_ip_info, module_id);
SAME_PLACE(HwIp, server_type, hl_info_hw_ip_info, server_type);
SAME_PLACE(HwIp, dram_enabled, hl_info_hw_ip_info, dram_enabled);
SAME_PLACE(HwIp, security_enabled, hl_info_hw_ip_info, security_enabled);
SAME_PLACE(HwIp, card_name, hl_info_hw_ip_info, card_name);
SAME_PLACE(HwIp, dram_page_size, hl_info_hw_ip_info, dram_page_size);
SAME_PLACE(HwIp, device_mem_alloc_default_page_size, hl_info_hw_ip_info,
           device_mem_alloc_default_page_size);

SAME_SIZE(DramUsage, hl_info_dram_usage);
SAME_PLACE(DramUsage, dram_free_mem, hl_info_dram_usage, dram_free_mem);
SAME_PLACE(DramUsage, ctx_dram_mem, hl_info_dram_usage, ctx_dram_mem);
SAME_SIZE(DeviceStatus, hl_info_device_status);
SAME_PLACE(DeviceStatus, status, hl_info_device_status, status);
SAME_SIZE(ResetCount, hl_info_reset_count);
SAME_PLACE(ResetCount, hard_reset_cnt, hl_info_reset_count, hard_reset_cnt);
SAME_PLACE(ResetCount, soft_reset_cnt, hl_info_reset_count, soft_reset_cnt);
SAME_SIZE(OpenStats, hl_open_stats_info);
SAME_PLACE(OpenStats, is_compute_ctx_active, hl_open_stats_info, is_compute_ctx_active);
SAME_PLACE(OpenStats, compute_ctx_in_release, hl_open_stats_info, compute_ctx_in_release);

SAME_SIZE(MemoryArgs, hl_mem_args);
SAME_SIZE(MemoryOut, hl_mem_out);
SAME_PLACE(MemoryIn, op, hl_mem_in, op);
SAME_PLACE(MemoryIn, flags, hl_mem_in, flags);
SAME_PLACE(MemoryIn, ctx_id, hl_mem_in, ctx_id);
SAME_PLACE(MemoryIn, num_of_elements, hl_mem_in, num_of_elements);
SAME_PLACE(MemoryIn, alloc.mem_size, hl_mem_in, alloc.mem_size);
SAME_PLACE(MemoryIn, alloc.page_size, hl_mem_in, alloc.page_size);
SAME_PLACE(MemoryIn, free.handle, hl_mem_in, free.handle);
SAME_PLACE(MemoryIn, map_device.hint_addr, hl_mem_in, map_device.hint_addr);
SAME_PLACE(MemoryIn, map_device.handle, hl_mem_in, map_device.handle);
SAME_PLACE(MemoryIn, unmap.device_virt_addr, hl_mem_in, unmap.device_virt_addr);
SAME_PLACE(MemoryIn, export_dmabuf_fd.address, hl_mem_in, export_dmabuf_fd.addr);
SAME_PLACE(MemoryIn, export_dmabuf_fd.mem_size, hl_mem_in, export_dmabuf_fd.mem_size);
SAME_PLACE(MemoryIn, export_dmabuf_fd.offset, hl_mem_in, export_dmabuf_fd.offset);
SAME_PLACE(MemoryOut, device_virt_addr, hl_mem_out, device_virt_addr);
SAME_PLACE(MemoryOut, handle, hl_mem_out, handle);
SAME_PLACE(MemoryOut, fd, hl_mem_out, fd);

SAME_NUMBER(kInfoHwIp, HL_INFO_HW_IP_INFO);
SAME_NUMBER(kInfoDramUsage, HL_INFO_DRAM_USAGE);
SAME_NUMBER(kInfoDeviceStatus, HL_INFO_DEVICE_STATUS);
SAME_NUMBER(kInfoResetCount, HL_INFO_RESET_COUNT);
SAME_NUMBER(kInfoOpenStats, HL_INFO_OPEN_STATS);
SAME_NUMBER(kInfoRegisterEventfd, HL_INFO_REGISTER_EVENTFD);
SAME_NUMBER(kInfoUnregisterEventfd, HL_INFO_UNREGISTER_EVENTFD);
SAME_NUMBER(kInfoGetEvents, HL_INFO_GET_EVENTS);
SAME_NUMBER(kOperational, HL_DEVICE_STATUS_OPERATIONAL);
SAME_NUMBER(kInReset, HL_DEVICE_STATUS_IN_RESET);
SAME_NUMBER(kMalfunction, HL_DEVICE_STATUS_MALFUNCTION);
SAME_NUMBER(kNeedsReset, HL_DEVICE_STATUS_NEEDS_RESET);
SAME_NUMBER(kInDeviceCreation, HL_DEVICE_STATUS_IN_DEVICE_CREATION);
SAME_NUMBER(kInResetAfterDeviceRelease, HL_DEVICE_STATUS_IN_RESET_AFTER_DEVICE_RELEASE);
SAME_NUMBER(kEventDeviceReset, HL_NOTIFIER_EVENT_DEVICE_RESET);
SAME_NUMBER(kEventDeviceUnavailable, HL_NOTIFIER_EVENT_DEVICE_UNAVAILABLE);
SAME_NUMBER(kMemoryAlloc, HL_MEM_OP_ALLOC);
SAME_NUMBER(kMemoryFree, HL_MEM_OP_FREE);
SAME_NUMBER(kMemoryMap, HL_MEM_OP_MAP);
SAME_NUMBER(kMemoryUnmap, HL_MEM_OP_UNMAP);
SAME_NUMBER(kMemoryExportDmabufFd, HL_MEM_OP_EXPORT_DMABUF_FD);

// Since 6.7, which has ioctls of DRM.
#ifdef DRM_IOCTL_HL_INFO
SAME_SIZE(HwIp, hl_info_hw_ip_info);
SAME_PLACE(HwIp, revision_id, hl_info_hw_ip_info, revision_id);
SAME_PLACE(HwIp, reserved_dram_size, hl_info_hw_ip_info, reserved_dram_size);
SAME_NUMBER(kAccelInfo, DRM_IOCTL_HL_INFO);
SAME_NUMBER(kAccelMemory, DRM_IOCTL_HL_MEMORY);
SAME_NUMBER(kEventCriticalHwError, HL_NOTIFIER_EVENT_CRITICL_HW_ERR);
SAME_NUMBER(kEventCriticalFwError, HL_NOTIFIER_EVENT_CRITICL_FW_ERR);
#else
SAME_NUMBER(kLegacyInfo, HL_IOCTL_INFO);
SAME_NUMBER(kLegacyMemory, HL_IOCTL_MEMORY);
#endif

}  // namespace hlbuf::hl

TEST(HabanalabsUapi, IsThatOfTheInstalledAccelHeader) {
  EXPECT_LE(sizeof(hl_info_hw_ip_info), sizeof(hlbuf::hl::HwIp));
}
#else
TEST(HabanalabsUapi, IsThatOfTheInstalledAccelHeader) {
  GTEST_SKIP() << "drm/habanalabs_accel.h is not installed: linux-libc-dev has it from 6.3 on";
}
#endif
