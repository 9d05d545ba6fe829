// SPDX-License-Identifier: Apache-2.0
#include "client/ctl/commands.h"

int main(int argc, char** argv) { return static_cast<int>(hlbuf::ctl::Main(argc, argv)); }
