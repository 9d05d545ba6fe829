/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * What a test needs to know of the stand-in for the habanalabs driver and of the importer beside
 * it, beyond the driver's own interface.
 *
 * The stand-in's files, per card, in debugfs: /sys/kernel/debug/accel/<parent_device>/, or with
 * legacy nodes /sys/kernel/debug/habanalabs/hl<N>/. The names that the driver has, too, are
 * `device` and `device_release_watchdog_timeout`.
 *
 *   trigger      write one of HLSIM_* below, one command a write
 *   inject       write "WHERE ERRNO COUNT [AFTER]": after AFTER more calls, the next COUNT calls of
 *                WHERE fail with ERRNO, a name or a number. WHERE is one of HLSIM_AT_*.
 *                "clear" forgets all. Reading lists what is left.
 *   state        read: what is open, mapped and exported, and how far a reset has come
 *   watchdog_ms  the release watchdog in milliseconds; the driver's own file has whole seconds
 *   device       as the driver: "disable" or "enable"
 *   device_release_watchdog_timeout  as the driver: seconds
 */
#ifndef HLBUF_TESTS_VM_HLSIM_H
#define HLBUF_TESTS_VM_HLSIM_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* trigger: "event MASK": tell the opener of something that needs no reset. */
#define HLSIM_EVENT "event"
/* trigger: "graceful MASK": a reset with the release window, where the rules grant one. */
#define HLSIM_GRACEFUL "graceful"
/* trigger: "firmware MASK": the firmware resets: the opener is told, there is no window. */
#define HLSIM_FIRMWARE "firmware"
/* trigger: the driver resets and tells nobody, as after a PCI error or for sysfs. */
#define HLSIM_UNGRACEFUL "ungraceful"
/* trigger: a missed heartbeat: graceful, but two in a row without an opener disable the card. */
#define HLSIM_HEARTBEAT "heartbeat"
/* trigger: NEEDS_RESET, as after a command timeout with reset_on_lockup=0. */
#define HLSIM_NEEDS_RESET "needs_reset"
/* trigger: "busy_close 1": the next close finds the device in use, which is a hard reset. */
#define HLSIM_BUSY_CLOSE "busy_close"
/* trigger: "creation 1": status IN_DEVICE_CREATION, which counts as operational; 0 ends it. */
#define HLSIM_CREATION "creation"
/* trigger: "fail_resets N": the next N hard resets fail in the hardware and leave it disabled. */
#define HLSIM_FAIL_RESETS "fail_resets"
/* trigger: "hang_reset 1": hard resets do not end; 0 lets them. */
#define HLSIM_HANG_RESET "hang_reset"
/* trigger: "hold_calls 1": MEMORY calls do not begin; 0 lets them. */
#define HLSIM_HOLD_CALLS "hold_calls"

/* inject: where a call can be made to fail. */
#define HLSIM_AT_OPEN "open"
#define HLSIM_AT_CONTROL "control" /* open of the control node */
#define HLSIM_AT_INFO "info" /* any INFO; those that follow, one of them */
#define HLSIM_AT_HW_IP "hw_ip_info"
#define HLSIM_AT_DRAM_USAGE "dram_usage"
#define HLSIM_AT_STATUS "device_status"
#define HLSIM_AT_RESET_COUNT "reset_count"
#define HLSIM_AT_OPEN_STATS "open_stats"
#define HLSIM_AT_REGISTER_EVENTFD "register_eventfd"
#define HLSIM_AT_GET_EVENTS "get_events"
#define HLSIM_AT_ALLOC "alloc"
#define HLSIM_AT_FREE "free"
#define HLSIM_AT_MAP "map"
#define HLSIM_AT_UNMAP "unmap"
#define HLSIM_AT_EXPORT "export"
#define HLSIM_AT_IMPORT "import" /* mapping by an importer */

/*
 * /dev/hlimport, the importer: holds windows of dma-bufs as an RDMA driver does its memory
 * regions. A registration keeps the dma-buf after its descriptor is closed, until it is
 * deregistered or the file that registered it is closed. /sys/kernel/debug/hlimport/held lists
 * them, a line each: pid=, ino=, exp=, offset=, length=.
 */
struct hlimport_register {
	__u64 offset;	/* into the dma-buf; need not be page aligned */
	__u64 length;	/* bytes; offset + length is at most the size of the dma-buf */
	__s32 fd;	/* the dma-buf */
	__u32 id;	/* out: names the registration, in this open file */
};

struct hlimport_copy {
	__u64 offset;	/* into the registered window */
	__u64 length;	/* bytes */
	__u64 bytes;	/* user address, read or written */
	__u32 id;
	__u32 pad;
};

#define HLIMPORT_REGISTER _IOWR('i', 0xe0, struct hlimport_register)
#define HLIMPORT_DEREGISTER _IO('i', 0xe1) /* argument: the id */
#define HLIMPORT_READ _IOW('i', 0xe2, struct hlimport_copy)
#define HLIMPORT_WRITE _IOW('i', 0xe3, struct hlimport_copy)

#endif
