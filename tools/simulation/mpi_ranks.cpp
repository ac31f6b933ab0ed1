#include "tools/simulation/mpi_ranks.h"

#include <mpi.h>

#include <algorithm>
#include <cstdlib>

namespace inkling::tools {

namespace {

constexpr std::size_t kElementsMax = std::size_t{1} << 30;  // of one call: MPI counts in int

class MpiRanks final : public Ranks {
 public:
  MpiRanks() {
    int value = 0;
    MPI_Comm_rank(MPI_COMM_WORLD, &value);
    rank_ = static_cast<std::size_t>(value);
    MPI_Comm_size(MPI_COMM_WORLD, &value);
    count_ = static_cast<std::size_t>(value);
  }

  std::size_t rank() const override { return rank_; }
  std::size_t count() const override { return count_; }
  Result<void> add_up(std::span<std::uint64_t> values) override {
    while (!values.empty()) {
      const auto part = values.first(std::min(values.size(), kElementsMax));
      const int status = MPI_Allreduce(MPI_IN_PLACE, part.data(), static_cast<int>(part.size()),
                                       MPI_UINT64_T, MPI_SUM, MPI_COMM_WORLD);
      if (status != MPI_SUCCESS) return fail(ErrorCode::kNetwork, "MPI: error ", status);
      values = values.subspan(part.size());
    }
    return {};
  }

 private:
  std::size_t rank_ = 0, count_ = 1;
};

}  // namespace

Result<std::unique_ptr<Ranks>> join_mpi_ranks() {
  // Set by mpirun alone: starting up costs something, and needs a network.
  if (std::getenv("OMPI_COMM_WORLD_SIZE") == nullptr) return std::unique_ptr<Ranks>();
  int provided = 0;
  const int status = MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided);
  if (status != MPI_SUCCESS || provided < MPI_THREAD_FUNNELED)
    return fail(ErrorCode::kNetwork, "MPI: cannot start, error ", status);
  return std::unique_ptr<Ranks>(std::make_unique<MpiRanks>());
}

void part_mpi_ranks(std::unique_ptr<Ranks> ranks) {
  if (ranks) MPI_Finalize();
}

}  // namespace inkling::tools
