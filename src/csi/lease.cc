#include "csi/lease.h"

#include <time.h>

#include <algorithm>

#include "common/log.h"

namespace cleat::csi {
namespace {

constexpr uint32_t kReleasedSeconds = 1;  // client-go's: the API takes no 0

constexpr const char* kHowToAllow =
    "; its role needs get, create and update of leases (deploy/kubernetes/60-csi-rights.yaml)";

std::string calendar_now() { return micro_time(std::chrono::system_clock::now()); }

double seconds(Duration time) { return std::chrono::duration<double>(time).count(); }

}  // namespace

std::string micro_time(std::chrono::system_clock::time_point time) {
  const auto micros = std::chrono::floor<std::chrono::microseconds>(time.time_since_epoch());
  const auto whole = std::chrono::floor<std::chrono::seconds>(micros);
  const time_t since_1970 = whole.count();
  struct tm date{};
  ::gmtime_r(&since_1970, &date);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z", date.tm_year + 1900,
                     date.tm_mon + 1, date.tm_mday, date.tm_hour, date.tm_min, date.tm_sec,
                     (micros - whole).count());
}

Lease::Lease(LeasePort& kube, LeaseOptions options, Clock clock)
    : kube_(kube),
      options_(std::move(options)),
      clock_(std::move(clock)),
      known_(clock_()),
      worked_(known_) {}

Outcome<> Lease::step() {
  if (options_.name.empty()) return {};
  auto done = attempt();
  // Another was quicker; whose it is now, the next step sees.
  if (!done && done.error().code == Code::kConflict) done = {};
  const TimePoint now = clock_();
  std::lock_guard lock(mutex_);
  if (done) {
    known_ = now;
    if (without_) LOG_INFO("the lease {} can be used again", options_.name);
    without_ = false;
    return {};
  }
  if (ours_ && now - renewed_ >= options_.renew_within) lost_it(done.error().message);
  const bool refused = done.error().code == Code::kPermission;
  if (!without_ && (refused || now - known_ >= options_.without_after)) {
    LOG_WARN(
        "the lease {} can't be used: this controller watches for lost nodes without it, which is "
        "safe, but others may do the same work{}: {}",
        options_.name, refused ? kHowToAllow : "", done.error().message);
    without_ = true;
  }
  return done;
}

Outcome<> Lease::attempt() {
  auto read = kube_.read_lease(options_.name);
  const bool missing = !read && read.error().code == Code::kNotFound;
  if (!read && !missing) return tl::unexpected(read.error());
  note(missing ? LeaseRecord{} : read->record);
  if (seen_->holder == options_.identity) return is_able() ? take(&*read) : let_go(*read);
  {
    std::lock_guard lock(mutex_);
    if (ours_) lost_it(missing ? "it was deleted" : "another has it");
  }
  if (!is_free() || !is_able() || clock_() < aside_until_) return {};
  return take(missing ? nullptr : &*read);
}

// Counted from when the answer is here, a lease never seems to run out too early.
void Lease::note(const LeaseRecord& record) {
  if (seen_ && *seen_ == record) return;
  const bool news = !seen_ || seen_->holder != record.holder;
  if (news && !record.holder.empty() && record.holder != options_.identity) {
    LOG_INFO("{} watches for lost nodes: it holds the lease {}", record.holder, options_.name);
  }
  seen_ = record;
  seen_at_ = clock_();
}

bool Lease::is_free() const {
  return seen_->holder.empty() || clock_() - seen_at_ >= std::chrono::seconds(seen_->duration_s);
}

// Renews what is ours already.
Outcome<> Lease::take(const KubeLease* before) {
  LeaseRecord record = before == nullptr ? LeaseRecord{} : before->record;
  const bool is_new = record.holder != options_.identity;
  record.holder = options_.identity;
  record.duration_s =
      static_cast<uint32_t>(std::chrono::ceil<std::chrono::seconds>(options_.duration).count());
  record.renewed = calendar_now();
  if (is_new || record.acquired.empty()) record.acquired = record.renewed;
  if (is_new && before != nullptr) ++record.transitions;
  const TimePoint sent = clock_();
  OUTCOME_TRY(before == nullptr ? kube_.create_lease(options_.name, record)
                                : kube_.update_lease(options_.name, *before, record));
  got_it(sent);
  return {};
}

// No longer ours before another can know.
Outcome<> Lease::let_go(const KubeLease& before) {
  {
    std::lock_guard lock(mutex_);
    ours_ = false;
  }
  aside_until_ = clock_() + 2 * options_.retry;
  LeaseRecord record{"", kReleasedSeconds, calendar_now(), "", before.record.transitions};
  record.renewed = record.acquired;
  OUTCOME_TRY(kube_.update_lease(options_.name, before, record));
  LOG_INFO("the lease {} is let go", options_.name);
  return {};
}

void Lease::release() {
  if (options_.name.empty()) return;
  auto read = kube_.read_lease(options_.name);
  if (!read || read->record.holder != options_.identity) return;
  auto done = let_go(*read);
  if (!done) LOG_WARN("the lease {} has to run out: {}", options_.name, done.error().message);
}

Duration Lease::pause() const {
  if (!seen_ || seen_->holder.empty() || seen_->holder == options_.identity) return options_.retry;
  const Duration left = seen_at_ + std::chrono::seconds(seen_->duration_s) - clock_();
  return left > Duration::zero() ? std::min(left, options_.retry) : options_.retry;
}

bool Lease::held() const {
  if (options_.name.empty()) return true;
  std::lock_guard lock(mutex_);
  return without_ || (ours_ && clock_() - renewed_ < options_.renew_within);
}

void Lease::worked(bool well) {
  std::lock_guard lock(mutex_);
  failing_ = !well;
  if (well) worked_ = clock_();
}

bool Lease::is_able() const {
  std::lock_guard lock(mutex_);
  return clock_() - worked_ < (failing_ ? options_.failing_max : options_.silent_max);
}

void Lease::got_it(TimePoint sent) {
  std::lock_guard lock(mutex_);
  if (!ours_) {
    LOG_INFO("this controller watches for lost nodes: it holds the lease {}", options_.name);
  }
  ours_ = true;
  renewed_ = sent;
}

// With the mutex.
void Lease::lost_it(const std::string& why) {
  ours_ = false;
  LOG_WARN("after {:.1f} s without a renewal the lease {} is no longer ours: {}",
           seconds(clock_() - renewed_), options_.name, why);
}

}  // namespace cleat::csi
