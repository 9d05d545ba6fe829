// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_CLIENT_CTL_TABLE_H_
#define HLBUF_CLIENT_CTL_TABLE_H_

#include <string>
#include <vector>

namespace hlbuf::ctl {

// Rows whose columns line up. Cells are made printable; an empty one is shown as "-", so that
// every row has as many words as columns where no cell has spaces.
class Table {
 public:
  explicit Table(std::vector<std::string> head) : rows_({std::move(head)}) {}

  // As many cells as the head has.
  void Add(std::vector<std::string> cells);
  // With a newline after each row; the head alone when there are no rows.
  std::string Text() const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace hlbuf::ctl

#endif  // HLBUF_CLIENT_CTL_TABLE_H_
