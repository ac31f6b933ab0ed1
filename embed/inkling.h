/* Inkling's C interface: an app logs what it shows and what people do with it, asks for an order,
 * and lets the engine learn in idle moments. Nothing that is logged leaves the device.
 *
 * C99. An engine belongs to one thread at a time. Functions return a status; the message of the
 * last failure is ink_last_error(). Structs begin with their size, so that an app built against an
 * older header keeps working: set struct_size = sizeof the struct. No exception leaves a function,
 * and loading the library runs no code. */
#ifndef INKLING_H
#define INKLING_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define INK_API __attribute__((visibility("default")))
#else
#define INK_API
#endif

#define INK_ABI_VERSION 1
INK_API uint32_t ink_abi_version(void);

typedef enum ink_status {
  INK_OK = 0,
  INK_INVALID_ARGUMENT = 1,
  INK_UNSUPPORTED = 2,
  INK_NOT_FOUND = 3,
  INK_CORRUPT = 4,
  INK_IO = 5,
  INK_VERIFICATION = 6, /* a signature, version or schema that does not hold */
  INK_RESOURCE_LIMIT = 7,
  INK_NOT_NOW = 8, /* the right call at the wrong moment */
  INK_FAILED = 9
} ink_status;

typedef struct ink_engine ink_engine;

typedef struct ink_options {
  size_t struct_size;
  const char* folder; /* private to the app; created if missing */
  /* Caps of the behaviour log; 0: 100,000 rows, 16 MiB, 90 days. */
  uint64_t rows_max, bytes_max;
  int64_t age_ms_max;
  int survives_power_loss; /* each append waits for the disk */
  /* Hooks; a null one has the default named. All get `context`. */
  void* context;
  int64_t (*unix_ms)(void* context);               /* the system's clock */
  int64_t (*steady_ms)(void* context);             /* the system's monotonic clock */
  void (*log)(void* context, const char* message); /* silence */
  int (*may_train)(void* context);                 /* idle and charging? 1 */
  /* 1 if `signature` is the publisher's over `bytes`; without it every model update is refused. */
  int (*verify)(void* context, const void* bytes, size_t size, const void* signature,
                size_t signature_size);
  /* The app's threads, for large models. Calls task(task_context, i) once for each i below `tasks`,
   * on at most `threads` threads, and returns when all have returned. Null: everything runs on the
   * calling thread; the library never starts one. Any number of threads gives the same order. */
  void (*run_tasks)(void* context, size_t tasks, void (*task)(void* task_context, size_t i),
                    void* task_context);
  unsigned threads;
} ink_options;

/* Where the memory of models and their working space comes from, which is nearly all of it; small
 * objects come from the C++ runtime. For the whole process: call it before the first ink_open. Null
 * functions: the C++ runtime again. `allocate` returns blocks of this alignment; null is out of
 * memory. INK_NOT_NOW: something is allocated already. */
INK_API ink_status ink_set_allocator(void* (*allocate)(void* context, size_t size,
                                                       size_t alignment),
                                     void (*release)(void* context, void* block), void* context);

/* Opens or creates the folder. On failure *engine is null and the message goes to options->log. */
INK_API ink_status ink_open(const ink_options* options, ink_engine** engine);
INK_API void ink_close(ink_engine* engine);                   /* null is allowed */
INK_API const char* ink_last_error(const ink_engine* engine); /* until the next call */

typedef struct ink_feature {
  const char* name;
  double number;        /* NAN: missing */
  const char* category; /* null: the feature is the number */
} ink_feature;

typedef struct ink_candidate {
  size_t struct_size;
  uint64_t item;
  double server_score;
  int is_none; /* the outside option */
  const ink_feature* features;
  size_t feature_count;
  uint64_t group; /* for ink_policy.spacing and .list_places; 0: of no group */
  int is_fresh;   /* for ink_policy.fresh_min */
} ink_candidate;

typedef enum ink_ranked_by {
  INK_SERVER_NO_MODEL = 0,
  INK_SERVER_DEADLINE = 1,
  INK_GLOBAL_MODEL = 2,
  INK_PERSONAL_MODEL = 3,
  INK_SERVER_HOLD_OUT = 4 /* this person is held out of reranking, to compare with */
} ink_ranked_by;

/* What the app lets happen to its feed. Stays until the next call, not across ink_close. From the
 * strongest rule to the weakest: pins, the largest move, fresh items near the top, spacing. A zero
 * struct (but for its size) allows everything and explores nothing. */
typedef struct ink_pin {
  uint64_t item;
  uint32_t place;
} ink_pin;

typedef struct ink_policy {
  size_t struct_size;
  const ink_pin* pins; /* copied; of items that are not shown nothing is expected */
  size_t pin_count;
  uint32_t move_max;                /* places up or down from the server's; 0: any */
  uint32_t fresh_min, fresh_places; /* of the first fresh_places at least fresh_min are fresh */
  uint32_t spacing;                 /* places between two items of a group */
  /* The first explore_places are drawn at random from softmax(score / temperature); 0: off. Guard
   * rails do not mix with it, because then nobody knows the odds. */
  double temperature;
  uint32_t explore_places;
  uint64_t seed; /* of those draws; a new one for each start of the app */
  /* An experiment: a salted hash of `person` gives the arm, the same one each time. The share
   * `hold_out` sees the server's order. Null salt: no experiment. */
  const char* salt; /* copied */
  uint64_t person;
  uint32_t arms;
  double hold_out;
  /* The first list_places are searched for as the list that is best together, where an item that
   * stands below others of its group is worth less: by up to the share `list_fatigue` right below
   * one, and less from place to place. 0: the order is by score. Guard rails bound what was
   * found; exploration does not mix with it. */
  uint32_t list_places;
  double list_fatigue; /* 0: 0.5 */
  uint32_t list_width; /* lists that the search goes on with; 0: 8 */
} ink_policy;

/* INK_INVALID_ARGUMENT: numbers that cannot be, or guard rails or a list search together with
 * exploration; then the policy in force stays. */
INK_API ink_status ink_set_policy(ink_engine* engine, const ink_policy* policy);
/* Null `arm` is allowed. *arm: 0 to arms - 1, or UINT32_MAX for the hold-out and without an
 * experiment. */
INK_API ink_status ink_experiment_arm(ink_engine* engine, uint32_t* arm);

/* Writes the indices of the candidates, best first, to order[count], and by whom to *by, which may
 * be null. Past the deadline (on the steady clock; 0: none) and without a model the order is the
 * server's, that is 0, 1, 2, ... */
INK_API ink_status ink_rerank(ink_engine* engine, const ink_candidate* candidates, size_t count,
                              int64_t deadline_ms, uint32_t* order, ink_ranked_by* by);

/* The same, and for each place of the order the probability that the policy put this item there
 * given those above it, as ink_log_impressions takes it; 1 where nothing was drawn. */
INK_API ink_status ink_rerank_explored(ink_engine* engine, const ink_candidate* candidates,
                                       size_t count, int64_t deadline_ms, uint32_t* order,
                                       double* propensities, ink_ranked_by* by);

typedef struct ink_reason {
  const char* feature; /* a name of the schema, until the next call; "history:...": the past */
  double effect;       /* what it adds to the score, against the mean of the candidates */
} ink_reason;

/* Why candidates[index] stands where the model puts it: the features that move its score most away
 * from the others', strongest first. Writes at most *reason_count of them and their number back.
 * Takes one scoring for each feature: for a person who asks, not for each request. INK_NOT_NOW: no
 * model. */
INK_API ink_status ink_why(ink_engine* engine, const ink_candidate* candidates, size_t count,
                           size_t index, ink_reason* reasons, size_t* reason_count);

/* One request: what was shown, in the order shown, with the probability of each place (null: 1).
 * Durable on return. */
INK_API ink_status ink_log_impressions(ink_engine* engine, uint64_t request,
                                       const ink_candidate* shown, size_t count,
                                       const double* propensities, int64_t time_ms);

typedef enum ink_event {
  INK_CLICK = 2,
  INK_OPEN_DETAIL = 3,
  INK_LIKE = 4,
  INK_COMMENT = 5,
  INK_SHARE = 6,
  INK_FAVORITE = 7,
  INK_CART = 8,
  INK_BUY = 9,
  INK_CHAT = 10,
  INK_DELETE = 11
} ink_event;

/* What the person did with an item of a request. INK_CLICK and INK_BUY count as choosing it.
 * Durable on return. */
INK_API ink_status ink_log_event(ink_engine* engine, ink_event kind, uint64_t request,
                                 uint64_t item, uint32_t dwell_ms, double scroll, int64_t time_ms);

typedef struct ink_adaptation {
  size_t struct_size;
  uint64_t slates;       /* that the log has to learn from */
  int has_patch;         /* a patch is in use now */
  double held_back_gain; /* nats a slate over the model for everyone */
  /* The trial of a new model against the one before it, both on the latest choices in the log. */
  uint64_t shadow_slates; /* compared on; 0: there is no trial, or too little to tell by */
  double shadow_gain;     /* nats a slate of the new model */
  int rolled_back;        /* the new one was worse and is withdrawn, as by ink_rollback_model */
} ink_adaptation;

/* If may_train allows: compares a new model with the one before it until it has proved itself, and
 * goes back if it is clearly worse for this person; then learns this person's patch, and keeps it
 * only if it predicts the latest choices better than the model for everyone. INK_NOT_NOW: may_train
 * said no, or there is no model. `result` may be null. */
INK_API ink_status ink_adapt(ink_engine* engine, ink_adaptation* result);

/* Deletes for good: from the files, the history and the patch that learnt from it. */
INK_API ink_status ink_erase_all(ink_engine* engine);
INK_API ink_status ink_erase_item(ink_engine* engine, uint64_t item);
INK_API ink_status ink_erase_range(ink_engine* engine, int64_t begin_ms, int64_t end_ms);

/* Gives each logged row as one line of JSON; returning nonzero from `line` stops. */
INK_API ink_status ink_export(ink_engine* engine, int (*line)(void* context, const char* json),
                              void* context);

/* A model bundle (docs/bundle-format.md). The signature is checked before anything is parsed; the
 * version in it must be above every earlier one. A bundle that does not load changes nothing. The
 * history goes on, also where the features are others. A bundle, or a patch that ink_adapt made,
 * with which the process ends twice before it has ranked once is withdrawn by ink_open. */
INK_API ink_status ink_update_model(ink_engine* engine, const void* bytes, size_t size,
                                    const void* signature, size_t signature_size);
/* Withdraws the model in use for the one before it. INK_NOT_NOW: there is none. */
INK_API ink_status ink_rollback_model(ink_engine* engine);

/* A learner: a classifier that goes on learning where it is used (docs/training.md). It keeps a
 * bounded sample of the examples that it is shown, in memory only, and what it learns from them as
 * a patch, which is refused on any other model. A learner belongs to one thread at a time. */
typedef struct ink_learner ink_learner;

typedef struct ink_learner_options {
  size_t struct_size;
  const char* model; /* a model file: one f32 input of one example, a softmax over classes */
  /* What learns: "head" (null: this), "bias", "norm", "last:N", "lora:rank=N" or "all". */
  const char* train;
  /* Other classes than the model's: a new last layer. None: the model's own go on learning. */
  const char* const* classes;
  size_t class_count;
  const char*
      features; /* with classes: the value of the model to cut after; null: before its head */
  size_t examples_max; /* 0: 256 */
  uint64_t seed;
  /* As in ink_options. */
  void* context;
  int64_t (*steady_ms)(void* context);
  void (*run_tasks)(void* context, size_t tasks, void (*task)(void* task_context, size_t i),
                    void* task_context);
  unsigned threads;
} ink_learner_options;

/* On failure *learner still is one, whose only use is ink_learner_error and ink_learner_close; null
 * where options or learner are. */
INK_API ink_status ink_learner_open(const ink_learner_options* options, ink_learner** learner);
INK_API void ink_learner_close(ink_learner* learner);              /* null is allowed */
INK_API const char* ink_learner_error(const ink_learner* learner); /* until the next call */

INK_API ink_status ink_learner_sizes(ink_learner* learner, size_t* example_floats,
                                     size_t* class_count);
/* The input as the model takes it (its layout and scaling), and which class it is. */
INK_API ink_status ink_learner_observe(ink_learner* learner, const float* example, size_t floats,
                                       uint32_t label);
/* probabilities[class_count] */
INK_API ink_status ink_learner_predict(ink_learner* learner, const float* example, size_t floats,
                                       float* probabilities, size_t class_count);

typedef struct ink_learning {
  size_t struct_size;
  uint64_t steps, batch, examples;
  uint64_t memory_bytes; /* what the call allowed for: at most the budget */
  double first_loss, last_loss;
  int out_of_time; /* fewer than steps_max */
} ink_learning;

/* Learns for at most steps_max steps (0: 100) and budget_ms (0: no limit; one step is always made),
 * within memory_bytes (0: no limit) beyond what the learner holds, at a rate (0: 0.001). The same
 * calls give the same bits, unless time runs out. INK_NOT_NOW: no examples yet, or a loss that is
 * not finite. INK_RESOURCE_LIMIT: the memory does not suffice. On failure nothing has changed.
 * `result` may be null. */
INK_API ink_status ink_learner_adapt(ink_learner* learner, int64_t budget_ms, size_t memory_bytes,
                                     size_t steps_max, double rate, ink_learning* result);

/* The patch in one file that is there whole or not at all. INK_NOT_NOW: nothing learnt yet. */
INK_API ink_status ink_learner_save_patch(ink_learner* learner, const char* path);
/* INK_VERIFICATION: made for another model. INK_INVALID_ARGUMENT: for another `train` or classes.
 */
INK_API ink_status ink_learner_load_patch(ink_learner* learner, const char* path);
/* Forgets the patch, the examples, or both; files are the app's. */
INK_API ink_status ink_learner_forget(ink_learner* learner, int patch, int examples);

#ifdef __cplusplus
}
#endif

#endif /* INKLING_H */
