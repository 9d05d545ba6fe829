// SPDX-License-Identifier: GPL-2.0
/* Calls that are made to fail. */
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/seq_file.h>
#include <linux/string.h>
#include "card.h"

static const char * const places[AT_END] = {
	[AT_OPEN] = HLSIM_AT_OPEN,
	[AT_CONTROL] = HLSIM_AT_CONTROL,
	[AT_INFO] = HLSIM_AT_INFO,
	[AT_HW_IP] = HLSIM_AT_HW_IP,
	[AT_DRAM_USAGE] = HLSIM_AT_DRAM_USAGE,
	[AT_STATUS] = HLSIM_AT_STATUS,
	[AT_RESET_COUNT] = HLSIM_AT_RESET_COUNT,
	[AT_OPEN_STATS] = HLSIM_AT_OPEN_STATS,
	[AT_REGISTER_EVENTFD] = HLSIM_AT_REGISTER_EVENTFD,
	[AT_GET_EVENTS] = HLSIM_AT_GET_EVENTS,
	[AT_ALLOC] = HLSIM_AT_ALLOC,
	[AT_FREE] = HLSIM_AT_FREE,
	[AT_MAP] = HLSIM_AT_MAP,
	[AT_UNMAP] = HLSIM_AT_UNMAP,
	[AT_EXPORT] = HLSIM_AT_EXPORT,
	[AT_IMPORT] = HLSIM_AT_IMPORT,
};

static const struct {
	const char *name;
	int number;
} errors[] = {
	{ "EPERM", EPERM },	{ "EIO", EIO },		{ "ENXIO", ENXIO },
	{ "EAGAIN", EAGAIN },	{ "ENOMEM", ENOMEM },	{ "EFAULT", EFAULT },
	{ "EBUSY", EBUSY },	{ "ENODEV", ENODEV },	{ "EINVAL", EINVAL },
	{ "ENFILE", ENFILE },	{ "EMFILE", EMFILE },	{ "ENOTTY", ENOTTY },
	{ "ENOSPC", ENOSPC },	{ "EOPNOTSUPP", EOPNOTSUPP }, { "ETIMEDOUT", ETIMEDOUT },
	{ "EINTR", EINTR },
};

static int hlsim_error_of(const char *word, int *number)
{
	unsigned int value;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(errors); i++) {
		if (!strcmp(errors[i].name, word)) {
			*number = errors[i].number;
			return 0;
		}
	}
	if (kstrtouint(word, 10, &value) || !value || value > 4095)
		return -EINVAL;
	*number = value;
	return 0;
}

/* The errno with which this call fails, or 0. */
int hlsim_fault(struct hlsim_card *card, enum hlsim_place place)
{
	struct hlsim_fault *fault = &card->faults[place];
	int error = 0;

	spin_lock(&card->faults_lock);
	if (fault->count && fault->after) {
		fault->after--;
	} else if (fault->count) {
		fault->count--;
		error = fault->error;
	}
	spin_unlock(&card->faults_lock);
	return error;
}

/* "WHERE ERRNO COUNT [AFTER]" or "clear". */
int hlsim_fault_add(struct hlsim_card *card, char *words)
{
	char *place = strsep(&words, " "), *error = strsep(&words, " ");
	char *count = strsep(&words, " "), *after = strsep(&words, " ");
	struct hlsim_fault fault = { };
	int i, number;

	if (!strcmp(place, "clear")) {
		spin_lock(&card->faults_lock);
		memset(card->faults, 0, sizeof(card->faults));
		spin_unlock(&card->faults_lock);
		return 0;
	}
	i = match_string(places, AT_END, place);
	if (i < 0 || !error || !count || hlsim_error_of(error, &number) ||
	    kstrtouint(count, 10, &fault.count) ||
	    (after && kstrtouint(after, 10, &fault.after)))
		return -EINVAL;
	fault.error = -number;
	spin_lock(&card->faults_lock);
	card->faults[i] = fault;
	spin_unlock(&card->faults_lock);
	return 0;
}

void hlsim_faults_show(struct hlsim_card *card, struct seq_file *out)
{
	struct hlsim_fault fault;
	int i;

	for (i = 0; i < AT_END; i++) {
		spin_lock(&card->faults_lock);
		fault = card->faults[i];
		spin_unlock(&card->faults_lock);
		if (fault.count)
			seq_printf(out, "%s %d %u %u\n", places[i], -fault.error, fault.count,
				   fault.after);
	}
}
