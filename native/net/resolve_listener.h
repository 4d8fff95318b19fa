#pragma once
#include <cstdint>
#include <span>

#include "net/address.h"

namespace weir::net {

/// Told what Stack::resolve has found.
class ResolveListener {
 public:
  /// The addresses of the name that there is a route to, the better ones first; none when there is
  /// no such name or no server answered. Valid during the call only, which may ask again.
  virtual void on_resolved(uint32_t tag, std::span<const Address> addresses) = 0;

 protected:
  ~ResolveListener() = default;
};

}  // namespace weir::net
