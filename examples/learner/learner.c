/* An app whose classifier learns classes of its own, on the device.
 *
 *   learner MODEL.ink ROWS.csv PATCH.ink
 *
 * MODEL.ink is a classifier of rows of numbers that `inkling train` made, for other classes. Each
 * line of ROWS.csv is the name of a class and the numbers as the model takes them. Two of three
 * lines are shown to the learner, which then learns for at most two seconds in at most 4 MB; it is
 * asked about the others before, after, and once more as the app does after its next start: with
 * the patch from its file. */
#include <inkling.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { kRowsMax = 4096, kFloatsMax = 64, kClassesMax = 16, kNameMax = 64 };

typedef struct Row {
  uint32_t label;
  float values[kFloatsMax];
} Row;

static Row rows[kRowsMax];
static char names[kClassesMax][kNameMax];
static size_t row_count = 0, class_count = 0, width = 0;

static int label_of(const char* name, uint32_t* label) {
  for (*label = 0; *label < class_count; ++*label)
    if (strcmp(names[*label], name) == 0) return 1;
  if (class_count == kClassesMax || strlen(name) >= kNameMax) return 0;
  strcpy(names[class_count++], name);
  return 1;
}

static int read_rows(const char* path) {
  char line[4096];
  FILE* file = fopen(path, "r");
  if (file == NULL) return 0;
  while (row_count < kRowsMax && fgets(line, sizeof line, file) != NULL) {
    Row* row = &rows[row_count++];
    char* cell = strtok(line, ",\n");
    size_t i = 0;
    if (cell == NULL || !label_of(cell, &row->label)) break;
    while ((cell = strtok(NULL, ",\n")) != NULL && i < kFloatsMax)
      row->values[i++] = (float)atof(cell);
    width = i;
  }
  fclose(file);
  return row_count > 0;
}

static int opened(const char* model, ink_learner** learner) {
  static const char* classes[kClassesMax];
  ink_learner_options options = {0};
  size_t i;
  for (i = 0; i < class_count; ++i) classes[i] = names[i];
  options.struct_size = sizeof options;
  options.model = model;
  options.classes = classes;
  options.class_count = class_count;
  options.examples_max = 64;
  options.seed = 1;
  return ink_learner_open(&options, learner) == INK_OK;
}

/* Of every third row, the share whose class is the most probable one. */
static double accuracy(ink_learner* learner) {
  float p[kClassesMax];
  size_t i, c, right = 0, asked = 0;
  for (i = 0; i < row_count; i += 3) {
    size_t best = 0;
    if (ink_learner_predict(learner, rows[i].values, width, p, class_count) != INK_OK) return -1;
    for (c = 1; c < class_count; ++c)
      if (p[c] > p[best]) best = c;
    right += best == rows[i].label;
    ++asked;
  }
  return (double)right / (double)asked;
}

static int failed(const ink_learner* learner, const char* what) {
  fprintf(stderr, "learner: %s: %s\n", what, ink_learner_error(learner));
  return 1;
}

int main(int argc, char** argv) {
  ink_learner *learner = NULL, *next = NULL;
  ink_learning learning = {0};
  double before, after;
  size_t i;
  if (argc != 4 || !read_rows(argv[2])) {
    fprintf(stderr, "usage: learner MODEL.ink ROWS.csv PATCH.ink\n");
    return 2;
  }
  if (!opened(argv[1], &learner)) return failed(learner, argv[1]);
  for (i = 0; i < row_count; ++i) {
    if (i % 3 == 0) continue;
    if (ink_learner_observe(learner, rows[i].values, width, rows[i].label) != INK_OK)
      return failed(learner, "observe");
  }
  before = accuracy(learner);
  learning.struct_size = sizeof learning;
  if (ink_learner_adapt(learner, 2000, 4 << 20, 400, 0.01, &learning) != INK_OK)
    return failed(learner, "adapt");
  after = accuracy(learner);
  if (ink_learner_save_patch(learner, argv[3]) != INK_OK) return failed(learner, argv[3]);
  if (!opened(argv[1], &next)) return failed(next, argv[1]);
  if (ink_learner_load_patch(next, argv[3]) != INK_OK) return failed(next, argv[3]);
  printf("%u examples kept, %u steps in %u bytes: accuracy %.3f, then %.3f, from the patch %.3f\n",
         (unsigned)learning.examples, (unsigned)learning.steps, (unsigned)learning.memory_bytes,
         before, after, accuracy(next));
  ink_learner_close(learner);
  ink_learner_close(next);
  return 0;
}
