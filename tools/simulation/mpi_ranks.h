#pragma once
// The ranks of `mpirun -np N inkling simulate ...`, in a build that found OpenMPI.

#include <memory>

#include "server-sim/simulation/ranks.h"

namespace inkling::tools {

// Joins the other processes that mpirun started; null when this one was started alone. Once in a
// process. kUnsupported: started by mpirun, but the build knows no MPI.
Result<std::unique_ptr<Ranks>> join_mpi_ranks();

// All have what they wanted: call it before the process ends. mpirun ends the others of a process
// that does not, so that none waits for one that failed.
void part_mpi_ranks(std::unique_ptr<Ranks> ranks);

}  // namespace inkling::tools
