// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_TESTS_CARD_CARD_UNDER_TEST_H_
#define HLBUF_TESTS_CARD_CARD_UNDER_TEST_H_

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/card/card_nodes.h"
#include "tests/vm/hlsim_rig.h"

namespace hlbuf {

enum class ResetKind { kGraceful, kUnannounced, kFirmware };
const char* ResetKindText(ResetKind kind);

// The card that a scenario runs on: the one that $HLBUF_CARD names by its PCI address, or without
// that the stand-in of tests/vm/hlsim, which is loaded for as long as this object lives. Scenarios
// that use nothing else of a card run on both.
class CardUnderTest {
 public:
  explicit CardUnderTest(const std::string& stand_in_parameters);

  // Whether somebody else's card was named: it is reset when $HLBUF_DRILL is 1, and then only.
  static bool IsNamed();
  static bool MayBeReset();

  const std::string& pci() const { return nodes_.pci; }
  const CardNodes& nodes() const { return nodes_; }
  // For the configuration of the service.
  std::string DeviceKeys() const;
  // Those that can be caused here; none where it may not be reset.
  std::vector<ResetKind> Resets() const;
  void Reset(ResetKind kind) const;
  // From the reset to the service's READY. The driver gives clients 30 s of it; a real card then
  // takes its time.
  std::chrono::milliseconds ResetPatience() const;
  // Node of the importer of tests/vm/hlsim; empty: there is none. It takes what it maps for memory
  // of the machine, so it is never let at a real card.
  std::string importer() const;
  const Importer* stand_in_importer() const { return importer_.get(); }
  // What the driver knows of its user; empty where only the stand-in would tell.
  std::string State() const;

 private:
  std::unique_ptr<Hlsim> stand_in_;
  std::unique_ptr<Importer> importer_;
  CardNodes nodes_;
};

}  // namespace hlbuf

#endif  // HLBUF_TESTS_CARD_CARD_UNDER_TEST_H_
