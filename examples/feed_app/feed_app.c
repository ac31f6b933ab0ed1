/* An app with a feed, in C99 over the installed library: it asks for an order, shows it, logs what
 * the person chose, learns when idle, and can say why.
 *
 *   feed_app FOLDER camera.bundle camera.csv PERSON
 *
 * Here the person is one of the survey's (examples/feed_app/camera_feed.cpp makes the two files);
 * each of their slates arrives in the server's order, and what they chose is known. */
#include <inkling.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
  kColumnsMax = 32,
  kItemsMax = 16,
  kLineMax = 1024,
  kFixed = 5,
  kReasons = 3,
  kTrainSlates = 12
};

typedef struct slate {
  unsigned long long request;
  size_t count, chosen;
  ink_candidate items[kItemsMax];
  ink_feature features[kItemsMax][kColumnsMax];
} slate;

typedef struct reader {
  FILE* file;
  char header[kLineMax];
  char* names[kColumnsMax]; /* of all columns, pointing into header */
  size_t columns;
  char line[kLineMax];
  char* fields[kColumnsMax]; /* of the row that was read and belongs to the next slate */
  int row_waits;
} reader;

static void stop(const char* what, const char* why) {
  fprintf(stderr, "feed_app: %s: %s\n", what, why);
  exit(1);
}

static void expect(ink_engine* engine, ink_status status, const char* what) {
  if (status != INK_OK) stop(what, ink_last_error(engine));
}

/* The publisher's bundle comes inside this app, so whoever changed it could change the app too. An
 * app that downloads its bundles checks an Ed25519 signature here. */
static int shipped_with_the_app(void* context, const void* bytes, size_t size,
                                const void* signature, size_t signature_size) {
  (void)context, (void)bytes, (void)size, (void)signature;
  return signature_size == 0;
}

static size_t split(char* line, char** fields) {
  size_t count = 0;
  line[strcspn(line, "\r\n")] = '\0';
  for (;;) {
    char* comma = strchr(line, ',');
    if (count == kColumnsMax) stop("camera.csv", "too many columns");
    fields[count++] = line;
    if (comma == NULL) return count;
    *comma = '\0';
    line = comma + 1;
  }
}

static int next_row(reader* r) {
  if (r->row_waits) return 1;
  if (fgets(r->line, sizeof r->line, r->file) == NULL) return 0;
  if (split(r->line, r->fields) != r->columns) stop("camera.csv", "a row of another length");
  r->row_waits = 1;
  return 1;
}

static void open_reader(reader* r, const char* path) {
  memset(r, 0, sizeof *r);
  r->file = fopen(path, "r");
  if (r->file == NULL || fgets(r->header, sizeof r->header, r->file) == NULL)
    stop(path, "cannot be read");
  r->columns = split(r->header, r->names);
  if (r->columns <= kFixed || strcmp(r->names[0], "user") != 0) stop(path, "not a choice log");
}

/* The person's next slate; 0 at the end of the file. */
static int read_slate(reader* r, const char* person, slate* out) {
  out->count = out->chosen = 0;
  while (next_row(r)) {
    const unsigned long long request = strtoull(r->fields[1], NULL, 10);
    ink_candidate* item = &out->items[out->count];
    size_t column;
    if (strcmp(r->fields[0], person) != 0) {
      if (out->count > 0) return 1;
      r->row_waits = 0;
      continue;
    }
    if (out->count > 0 && request != out->request) return 1;
    if (out->count == kItemsMax) stop("camera.csv", "too many items in a slate");
    out->request = request;
    memset(item, 0, sizeof *item);
    item->struct_size = sizeof *item;
    item->item = strtoull(r->fields[2], NULL, 10);
    item->is_none = r->fields[4][0] == '1';
    item->features = out->features[out->count];
    if (r->fields[3][0] == '1') out->chosen = out->count;
    for (column = kFixed; column < r->columns; ++column) {
      ink_feature* feature = &out->features[out->count][item->feature_count++];
      feature->name = r->names[column];
      feature->number = r->fields[column][0] != '\0' ? atof(r->fields[column]) : NAN;
      feature->category = NULL;
    }
    ++out->count;
    r->row_waits = 0;
  }
  return out->count > 0;
}

static void load_bundle(ink_engine* engine, const char* path) {
  FILE* file = fopen(path, "rb");
  long size;
  void* bytes;
  if (file == NULL || fseek(file, 0, SEEK_END) != 0) stop(path, "cannot be read");
  size = ftell(file);
  rewind(file);
  bytes = malloc((size_t)size);
  if (bytes == NULL || fread(bytes, 1, (size_t)size, file) != (size_t)size)
    stop(path, "cannot be read");
  fclose(file);
  expect(engine, ink_update_model(engine, bytes, (size_t)size, NULL, 0), "the model");
  free(bytes);
}

static size_t place_of(const uint32_t* order, size_t count, size_t item) {
  size_t place = 0;
  while (place < count && order[place] != item) ++place;
  return place + 1;
}

int main(int argc, char** argv) {
  ink_options options = {0};
  ink_engine* engine = NULL;
  ink_adaptation learnt = {0};
  static reader input;
  static slate shown;
  size_t slates = 0, measured = 0, server_places = 0, app_places = 0;
  if (argc != 5) {
    fprintf(stderr, "usage: feed_app FOLDER camera.bundle camera.csv PERSON\n");
    return 2;
  }
  options.struct_size = sizeof options;
  options.folder = argv[1];
  options.verify = shipped_with_the_app;
  if (ink_open(&options, &engine) != INK_OK) stop(argv[1], "the engine does not open");
  load_bundle(engine, argv[2]);
  open_reader(&input, argv[3]);

  while (read_slate(&input, argv[4], &shown)) {
    uint32_t order[kItemsMax];
    ink_ranked_by by;
    ink_reason reasons[kReasons];
    size_t reason_count = kReasons, i;
    const int64_t now_ms = (int64_t)time(NULL) * 1000; /* as if they chose today */
    expect(engine, ink_rerank(engine, shown.items, shown.count, 0, order, &by), "rerank");
    expect(engine, ink_why(engine, shown.items, shown.count, order[0], reasons, &reason_count),
           "why");
    if (++slates > kTrainSlates) {
      const size_t place = place_of(order, shown.count, shown.chosen);
      ++measured;
      server_places += shown.chosen + 1;
      app_places += place;
      printf("slate %zu: took what the server had at %zu and %s at %zu; first was item %llu for",
             slates, shown.chosen + 1, by == INK_PERSONAL_MODEL ? "their patch" : "the model",
             place, (unsigned long long)shown.items[order[0]].item);
      for (i = 0; i < reason_count; ++i)
        printf("%s %s %+.2f", i > 0 ? "," : "", reasons[i].feature, reasons[i].effect);
      printf("\n");
    }
    expect(engine,
           ink_log_impressions(engine, shown.request, shown.items, shown.count, NULL, now_ms),
           "log");
    expect(engine,
           ink_log_event(engine, INK_CLICK, shown.request, shown.items[shown.chosen].item, 0, 0.0,
                         now_ms + 1),
           "log");
    if (slates == kTrainSlates) { /* the phone is idle and charging */
      learnt.struct_size = sizeof learnt;
      expect(engine, ink_adapt(engine, &learnt), "adapt");
      printf("learnt from %llu slates: %s\n", (unsigned long long)learnt.slates,
             learnt.has_patch ? "a patch helps this person" : "no patch would help this person");
    }
  }
  if (measured == 0) stop(argv[4], "no such person, or too few slates");
  printf("mean place of what they took: server %.2f, app %.2f\n",
         (double)server_places / (double)measured, (double)app_places / (double)measured);
  ink_close(engine);
  fclose(input.file);
  return 0;
}
