#include "federated/privacy/mechanism.h"

#include <array>
#include <bit>
#include <cmath>
#include <numbers>
#include <type_traits>

namespace inkling::privacy {

namespace {

constexpr double kHuge = 1e30;

Result<void> check(const char* mechanism, const char* field, bool holds, double value) {
  if (holds && std::isfinite(value)) return {};
  return fail(ErrorCode::kInvalidArgument, mechanism, ": ", field, " is ", value,
              ", which is out of its range");
}

bool positive(double v) { return v > 0 && v < kHuge; }
bool is_norm(double v) { return v >= 0 && v < kHuge; }
bool is_rate(double v) { return v > 0 && v <= 1; }

struct Checker {
  Result<void> operator()(const Gaussian& m) const {
    INK_CHECK_OK(
        check("gaussian", "noise_multiplier", positive(m.noise_multiplier), m.noise_multiplier));
    return check("gaussian", "sampling", is_rate(m.sampling), m.sampling);
  }
  Result<void> operator()(const DistributedDiscreteGaussian& m) const {
    constexpr const char* kName = "distributed discrete gaussian";
    INK_CHECK_OK(check(kName, "sigma", positive(m.sigma) && m.sigma >= kLocalSigmaMin, m.sigma));
    INK_CHECK_OK(check(kName, "clients", m.clients >= 1, m.clients));
    INK_CHECK_OK(check(kName, "dimension", m.dimension >= 1, static_cast<double>(m.dimension)));
    INK_CHECK_OK(check(kName, "l2", is_norm(m.l2), m.l2));
    INK_CHECK_OK(check(kName, "l1", is_norm(m.l1), m.l1));
    return check(kName, "sampling", is_rate(m.sampling), m.sampling);
  }
  Result<void> operator()(const Skellam& m) const {
    INK_CHECK_OK(check("skellam", "variance", positive(m.variance), m.variance));
    INK_CHECK_OK(check("skellam", "l2", is_norm(m.l2), m.l2));
    INK_CHECK_OK(check("skellam", "l1", is_norm(m.l1), m.l1));
    return check("skellam", "sampling", is_rate(m.sampling), m.sampling);
  }
  Result<void> operator()(const Tree& m) const {
    INK_CHECK_OK(
        check("tree", "noise_multiplier", positive(m.noise_multiplier), m.noise_multiplier));
    return check("tree", "steps", m.steps >= 1, static_cast<double>(m.steps));
  }
};

// One description of the fields for both directions: `io` writes or reads each in turn.
template <typename Io, typename M>
void fields(Io& io, M& m) {
  using T = std::remove_const_t<M>;
  if constexpr (std::is_same_v<T, Gaussian>) {
    io(m.noise_multiplier);
    io(m.sampling);
  } else if constexpr (std::is_same_v<T, DistributedDiscreteGaussian>) {
    io(m.sigma);
    io(m.clients);
    io(m.l2);
    io(m.l1);
    io(m.dimension);
    io(m.sampling);
  } else if constexpr (std::is_same_v<T, Skellam>) {
    io(m.variance);
    io(m.l2);
    io(m.l1);
    io(m.sampling);
  } else {
    io(m.noise_multiplier);
    io(m.steps);
  }
}

struct Writer {
  ByteWriter out;
  void operator()(double v) { out.u64(std::bit_cast<std::uint64_t>(v)); }
  void operator()(std::uint32_t v) { out.u32(v); }
  void operator()(std::uint64_t v) { out.u64(v); }
};

struct Reader {
  ByteReader in;
  void operator()(double& v) { v = std::bit_cast<double>(in.u64()); }
  void operator()(std::uint32_t& v) { v = in.u32(); }
  void operator()(std::uint64_t& v) { v = in.u64(); }
};

template <typename M>
Mechanism read(Reader& reader) {
  M m;
  fields(reader, m);
  return m;
}

}  // namespace

Bytes encode_mechanism(const Mechanism& mechanism) {
  Writer writer;
  writer.out.u8(static_cast<std::uint8_t>(mechanism.index()));
  std::visit([&](const auto& m) { fields(writer, m); }, mechanism);
  return writer.out.take();
}

Result<Mechanism> decode_mechanism(ByteSpan bytes) {
  constexpr std::array kReaders = {read<Gaussian>, read<DistributedDiscreteGaussian>, read<Skellam>,
                                   read<Tree>};
  Reader reader{ByteReader(bytes)};
  const std::uint8_t kind = reader.in.u8();
  if (kind < kReaders.size()) {
    const Mechanism mechanism = kReaders[kind](reader);
    if (reader.in.finished() && check_mechanism(mechanism)) return mechanism;
  }
  return fail(ErrorCode::kCorrupt, "privacy: ", bytes.size(), " bytes that are not a mechanism");
}

Result<void> check_mechanism(const Mechanism& mechanism) {
  return std::visit(Checker(), mechanism);
}

double discrete_gaussian_gap(std::uint32_t clients, double sigma) {
  const double exponent = 2 * std::numbers::pi * std::numbers::pi * sigma * sigma;
  double sum = 0;
  for (std::uint32_t k = 1; k < clients; ++k) sum += std::exp(-exponent * k / (k + 1.0));
  return 10 * sum;
}

}  // namespace inkling::privacy
