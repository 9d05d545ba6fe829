// SPDX-License-Identifier: Apache-2.0
// Random histories of the whole core against its model.
//
// HLBUF_MODEL_CASES says how many histories are tried (default 1000, some seconds);
// RC_PARAMS="reproduce=..." repeats a failure, as rapidcheck prints it.
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <stdlib.h>

#include <string>

#include "tests/model/history.h"

namespace rc {

template <>
struct Arbitrary<hlbuf::model::Step> {
  static Gen<hlbuf::model::Step> arbitrary() {
    // Of any size from the beginning: a step is one of a few happenings, not a quantity.
    return gen::map(gen::resize(kNominalSize, gen::inRange<std::uint32_t>(0, 1 << 24)),
                    [](std::uint32_t bits) { return hlbuf::model::Step{bits}; });
  }
};

}  // namespace rc

namespace hlbuf::model {

void showValue(const Step& step, std::ostream& out) { out << step.bits; }

namespace {

TEST(Broker, DoesWhatItsModelSaysWhateverHappens) {
  const char* cases = getenv("HLBUF_MODEL_CASES");
  const std::string parameters =
      "max_size=400 max_success=" + std::string(cases == nullptr ? "1000" : cases);
  setenv("RC_PARAMS", parameters.c_str(), /*replace=*/0);
  const bool held = rc::check([](const std::vector<Step>& steps) {
    History history(!steps.empty() && steps.front().a() % 32 == 0);
    for (const Step& step : steps) {
      const std::string wrong = history.Apply(step);
      if (wrong.empty()) continue;
      for (const std::string& line : history.log()) RC_LOG() << line << "\n";
      RC_FAIL(wrong);
    }
    const std::string left = history.Finish();
    if (left.empty()) return;
    for (const std::string& line : history.log()) RC_LOG() << line << "\n";
    RC_FAIL(left);
  });
  EXPECT_TRUE(held);
}

}  // namespace
}  // namespace hlbuf::model
