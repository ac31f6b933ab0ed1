#include "tools/demo/process.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

namespace inkling::tools {

Result<Process> Process::start_self(const std::vector<std::string>& arguments, const Path& out,
                                    const Path& err) {
  std::vector<std::string> texts = {"inkling"};
  texts.insert(texts.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& text : texts) argv.push_back(text.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  constexpr int kFlags = O_WRONLY | O_CREAT | O_TRUNC;
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, out.c_str(), kFlags, 0600);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, err.c_str(), kFlags, 0600);
  pid_t pid = -1;
  const int code = posix_spawn(&pid, "/proc/self/exe", &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (code != 0)
    return fail(ErrorCode::kIo, "start ", arguments.empty() ? "" : arguments[0], ": ",
                std::strerror(code));
  return Process(pid);
}

Process::~Process() {
  if (pid_ < 0) return;
  ::kill(pid_, SIGKILL);
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) continue;
}

Result<int> Process::wait() {
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0) {
    if (errno != EINTR) return fail(ErrorCode::kIo, "wait: ", std::strerror(errno));
  }
  pid_ = -1;
  if (WIFEXITED(status)) return WEXITSTATUS(status);
  return fail(ErrorCode::kFailedPrecondition, "ended by signal ", WTERMSIG(status));
}

Result<void> Process::wait_stopped() {
  int status = 0;
  while (::waitpid(pid_, &status, WUNTRACED) < 0) {
    if (errno != EINTR) return fail(ErrorCode::kIo, "wait: ", std::strerror(errno));
  }
  if (WIFSTOPPED(status)) return {};
  pid_ = -1;
  return fail(ErrorCode::kFailedPrecondition, "ended before it was stopped");
}

void Process::send(int signal) {
  if (pid_ >= 0) ::kill(pid_, signal);
}

bool Process::running() {
  if (pid_ < 0) return false;
  if (::waitpid(pid_, nullptr, WNOHANG) == 0) return true;
  pid_ = -1;
  return false;
}

}  // namespace inkling::tools
