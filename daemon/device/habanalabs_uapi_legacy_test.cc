// SPDX-License-Identifier: Apache-2.0
// Our declarations against misc/habanalabs.h, where it is installed: Linux 6.2 and earlier.
#include <gtest/gtest.h>

#include <utility>

#if __has_include(<misc/habanalabs.h>)
#include <misc/habanalabs.h>

#include "daemon/device/test_habanalabs_uapi.h"

namespace hlbuf::hl {

SAME_SIZE(InfoArgs, hl_info_args);
SAME_PLACE(InfoArgs, return_pointer, hl_info_args, return_pointer);
SAME_PLACE(InfoArgs, return_size, hl_info_args, return_size);
SAME_PLACE(InfoArgs, op, hl_info_args, op);
SAME_PLACE(InfoArgs, argument, hl_info_args, eventfd);
SAME_PLACE(InfoArgs, pad, hl_info_args, pad);

static_assert(sizeof(hl_info_hw_ip_info) == kHwIpBytesIn61);
SAME_PLACE(HwIp, dram_base_address, hl_info_hw_ip_info, dram_base_address);
SAME_PLACE(HwIp, dram_size, hl_info_hw_ip_info, dram_size);
SAME_PLACE(HwIp, device_id, hl_info_hw_ip_info, device_id);
SAME_PLACE(HwIp, module_id, hl_info_hw_ip_info, module_id);
SAME_PLACE(HwIp, dram_enabled, hl_info_hw_ip_info, dram_enabled);
SAME_PLACE(HwIp, card_name, hl_info_hw_ip_info, card_name);
SAME_PLACE(HwIp, dram_page_size, hl_info_hw_ip_info, dram_page_size);
SAME_PLACE(HwIp, device_mem_alloc_default_page_size, hl_info_hw_ip_info,
           device_mem_alloc_default_page_size);

SAME_SIZE(DramUsage, hl_info_dram_usage);
SAME_SIZE(DeviceStatus, hl_info_device_status);
SAME_SIZE(ResetCount, hl_info_reset_count);
SAME_SIZE(OpenStats, hl_open_stats_info);
SAME_PLACE(OpenStats, compute_ctx_in_release, hl_open_stats_info, compute_ctx_in_release);

SAME_SIZE(MemoryArgs, hl_mem_args);
SAME_PLACE(MemoryIn, op, hl_mem_in, op);
SAME_PLACE(MemoryIn, flags, hl_mem_in, flags);
SAME_PLACE(MemoryIn, alloc.mem_size, hl_mem_in, alloc.mem_size);
SAME_PLACE(MemoryIn, free.handle, hl_mem_in, free.handle);
SAME_PLACE(MemoryIn, map_device.handle, hl_mem_in, map_device.handle);
SAME_PLACE(MemoryIn, unmap.device_virt_addr, hl_mem_in, unmap.device_virt_addr);
SAME_PLACE(MemoryIn, export_dmabuf_fd.address, hl_mem_in, export_dmabuf_fd.handle);
SAME_PLACE(MemoryIn, export_dmabuf_fd.mem_size, hl_mem_in, export_dmabuf_fd.mem_size);
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
SAME_NUMBER(kMemoryAlloc, HL_MEM_OP_ALLOC);
SAME_NUMBER(kMemoryFree, HL_MEM_OP_FREE);
SAME_NUMBER(kMemoryMap, HL_MEM_OP_MAP);
SAME_NUMBER(kMemoryUnmap, HL_MEM_OP_UNMAP);
SAME_NUMBER(kMemoryExportDmabufFd, HL_MEM_OP_EXPORT_DMABUF_FD);
SAME_NUMBER(kLegacyInfo, HL_IOCTL_INFO);
SAME_NUMBER(kLegacyMemory, HL_IOCTL_MEMORY);

}  // namespace hlbuf::hl

TEST(HabanalabsUapi, IsThatOfTheInstalledLegacyHeader) {
  EXPECT_LE(sizeof(hl_info_hw_ip_info), sizeof(hlbuf::hl::HwIp));
}
#else
TEST(HabanalabsUapi, IsThatOfTheInstalledLegacyHeader) {
  GTEST_SKIP() << "misc/habanalabs.h is not installed: linux-libc-dev has it up to 6.2";
}
#endif
