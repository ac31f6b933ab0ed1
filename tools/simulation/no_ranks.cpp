// In place of mpi_ranks.cpp, in a build without MPI.

#include <cstdlib>

#include "tools/simulation/mpi_ranks.h"

namespace inkling::tools {

Result<std::unique_ptr<Ranks>> join_mpi_ranks() {
  if (std::getenv("OMPI_COMM_WORLD_SIZE") == nullptr) return std::unique_ptr<Ranks>();
  return fail(ErrorCode::kUnsupported,
              "simulate: started by mpirun, and built without MPI (libopenmpi-dev)");
}

void part_mpi_ranks(std::unique_ptr<Ranks>) {}

}  // namespace inkling::tools
