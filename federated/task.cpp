#include "federated/task.h"

#include <flatbuffers/flatbuffers.h>

#include <algorithm>
#include <cmath>

#include "federated/schema/task_generated.h"

namespace inkling::federated {

namespace {

template <typename Table>
Result<const Table*> verified(const Bytes& bytes, std::size_t bytes_max, const char* what) {
  if (bytes.size() > bytes_max) {
    return fail(ErrorCode::kResourceLimit, what, ": ", bytes.size(), " bytes, limit ", bytes_max);
  }
  flatbuffers::Verifier verifier(bytes.data(), bytes.size(), 4, 64);
  if (bytes.size() < 8 || !verifier.VerifyBuffer<Table>(nullptr))
    return fail(ErrorCode::kCorrupt, what, ": not well formed");
  return flatbuffers::GetRoot<Table>(bytes.data());
}

Bytes finished(flatbuffers::FlatBufferBuilder& builder) {
  return {builder.GetBufferPointer(), builder.GetBufferPointer() + builder.GetSize()};
}

Bytes bytes_of(const flatbuffers::Vector<std::uint8_t>* list) {
  return list ? Bytes(list->begin(), list->end()) : Bytes();
}

}  // namespace

Bytes encode_plan(const Plan& plan) {
  flatbuffers::FlatBufferBuilder builder;
  builder.Finish(schema::CreatePlan(builder, builder.CreateString(plan.kind), plan.local_steps,
                                    plan.rate, plan.prox));
  return finished(builder);
}

Result<Plan> decode_plan(const Bytes& bytes) {
  INK_TRY(const auto* table, verified<schema::Plan>(bytes, kPlanBytesMax, "plan"));
  Plan plan{table->kind() ? table->kind()->str() : "", table->local_steps(), table->rate(),
            table->prox()};
  if (plan.local_steps < 1 || plan.local_steps > kLocalStepsMax) {
    return fail(ErrorCode::kCorrupt, "plan: ", plan.local_steps, " local steps, expected 1 to ",
                kLocalStepsMax);
  }
  if (!std::isfinite(plan.rate) || plan.rate <= 0)
    return fail(ErrorCode::kCorrupt, "plan: a rate of ", plan.rate, ", expected above 0");
  if (!std::isfinite(plan.prox) || plan.prox < 0)
    return fail(ErrorCode::kCorrupt, "plan: a proximal term of ", plan.prox,
                ", expected 0 or above");
  return plan;
}

Bytes encode_invitation(const Invitation& invitation) {
  flatbuffers::FlatBufferBuilder builder;
  const auto task = builder.CreateVector(invitation.task.data(), invitation.task.size());
  const auto plan = builder.CreateVector(invitation.plan);
  const auto model = builder.CreateVector(invitation.model);
  const auto manifest = builder.CreateVector(invitation.manifest);
  builder.Finish(schema::CreateInvitation(builder, static_cast<schema::Seat>(invitation.seat),
                                          invitation.retry_ms, invitation.attempt.round,
                                          invitation.attempt.attempt, task, plan, model, manifest));
  return finished(builder);
}

Result<Invitation> decode_invitation(const Bytes& bytes) {
  INK_TRY(const auto* table, verified<schema::Invitation>(
                                 bytes, kTaskModelBytesMax + 2 * kPlanBytesMax, "invitation"));
  Invitation invitation{.retry_ms = table->retry_ms(),
                        .attempt = {table->round(), table->attempt()},
                        .plan = bytes_of(table->plan()),
                        .model = bytes_of(table->model()),
                        .manifest = bytes_of(table->manifest())};
  switch (table->seat()) {
    case schema::Seat::Wait:
      invitation.seat = Seat::kWait;
      return invitation;
    case schema::Seat::Finished:
      invitation.seat = Seat::kFinished;
      return invitation;
    case schema::Seat::Taken:
      break;
    default:
      return fail(ErrorCode::kCorrupt, "invitation: seat ", static_cast<int>(table->seat()));
  }
  invitation.seat = Seat::kTaken;
  if (!table->task() || table->task()->size() != invitation.task.size()) {
    return fail(ErrorCode::kCorrupt, "invitation: a task id of another size than ",
                invitation.task.size());
  }
  std::copy(table->task()->begin(), table->task()->end(), invitation.task.begin());
  return invitation;
}

}  // namespace inkling::federated
