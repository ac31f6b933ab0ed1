/* The least that an app does: open, log, rank, export, close. argv[1]: an empty folder. */
#include <inkling.h>
#include <stdio.h>
#include <time.h>

static int count_line(void* context, const char* json) {
  (void)json;
  ++*(int*)context;
  return 0;
}

int main(int argc, char** argv) {
  ink_options options = {0};
  ink_engine* engine = NULL;
  ink_candidate shown[3] = {{0}};
  uint32_t order[3] = {9, 9, 9};
  ink_ranked_by by = INK_GLOBAL_MODEL;
  int i, lines = 0;
  const int64_t now_ms = (int64_t)time(NULL) * 1000;
  if (argc != 2 || ink_abi_version() != INK_ABI_VERSION) return 1;
  options.struct_size = sizeof options;
  options.folder = argv[1];
  if (ink_open(&options, &engine) != INK_OK) return 2;
  for (i = 0; i < 3; ++i) {
    shown[i].struct_size = sizeof shown[i];
    shown[i].item = (uint64_t)(10 + i);
  }
  if (ink_rerank(engine, shown, 3, 0, order, &by) != INK_OK || by != INK_SERVER_NO_MODEL) return 3;
  if (ink_log_impressions(engine, 1, shown, 3, NULL, now_ms) != INK_OK) return 4;
  if (ink_log_event(engine, INK_CLICK, 1, 11, 700, 0.0, now_ms + 1) != INK_OK) return 5;
  if (ink_export(engine, count_line, &lines) != INK_OK) return 6;
  ink_close(engine);
  printf("order %u %u %u, %d rows\n", (unsigned)order[0], (unsigned)order[1], (unsigned)order[2],
         lines);
  return 0;
}
