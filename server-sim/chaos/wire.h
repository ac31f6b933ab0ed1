#pragma once
// ChaosWire: a device's end of the chaos network.

#include "federated/transport.h"
#include "server-sim/chaos/world.h"

namespace inkling {

class ChaosWire final : public Transport {
 public:
  ChaosWire(ChaosWorld& world, ChaosDevice& device) : world_(world), device_(device) {}
  Result<Bytes> exchange(std::string_view path, ByteSpan body, std::int64_t timeout_ms) override;

 private:
  Result<Bytes> travel(const std::string& path, const Bytes& body);
  void lie(const std::string& path, const Bytes& body);
  Bytes flip_bits(Bytes bytes);

  ChaosWorld& world_;
  ChaosDevice& device_;
};

// The round that a request is about, from its path; nullopt for "join".
std::optional<secagg::Attempt> attempt_in(const std::string& path);
bool is_message(const std::string& path);

}  // namespace inkling
