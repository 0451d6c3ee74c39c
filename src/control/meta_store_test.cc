// One suite of what a MetaStore promises, run against the memory store and against a real etcd.
#include "control/meta_store.h"

#include <gtest/gtest.h>

#include <mutex>

#include "control/mem_meta_store.h"
#include "control/testing/test_etcd.h"

namespace cleat::control {
namespace {

class Backend {
 public:
  virtual ~Backend() = default;
  virtual MetaStore& store() = 0;
  virtual void let_time_pass(Duration time) = 0;
};

class MemBackend final : public Backend {
 public:
  MetaStore& store() override { return store_; }
  void let_time_pass(Duration time) override { store_.advance(time); }

 private:
  MemMetaStore store_;
};

class EtcdBackend final : public Backend {
 public:
  EtcdBackend() : store_(shared().store()) {}
  MetaStore& store() override { return *store_; }
  void let_time_pass(Duration time) override { std::this_thread::sleep_for(time); }

 private:
  static TestEtcd& shared() {
    static TestEtcd etcd;
    return etcd;
  }
  std::unique_ptr<EtcdMetaStore> store_;
};

template <class B>
class MetaStoreTest : public ::testing::Test {
 protected:
  B backend;
  MetaStore& store = backend.store();
  // Tests share one etcd: each has keys of its own.
  std::string key(const std::string& name) const {
    return std::string{"/t/"} + ::testing::UnitTest::GetInstance()->current_test_info()->name() +
           "/" + name;
  }
};

using Backends = ::testing::Types<MemBackend, EtcdBackend>;
TYPED_TEST_SUITE(MetaStoreTest, Backends);

TYPED_TEST(MetaStoreTest, ReadsWhatWasWrittenAndItsRevision) {
  EXPECT_FALSE(this->store.get(this->key("a")).value());
  auto revision = this->store.commit(Txn{}.put(this->key("a"), "1"));
  ASSERT_TRUE(revision);
  auto found = this->store.get(this->key("a"));
  ASSERT_TRUE(found && *found);
  EXPECT_EQ((*found)->value, "1");
  EXPECT_EQ((*found)->revision, *revision);
}

TYPED_TEST(MetaStoreTest, ListsAPrefixInOrder) {
  ASSERT_TRUE(this->store.commit(
      Txn{}.put(this->key("b/2"), "x").put(this->key("b/1"), "y").put(this->key("c"), "z")));
  auto listing = this->store.list(this->key("b/"));
  ASSERT_TRUE(listing);
  ASSERT_EQ(listing->entries.size(), 2U);
  EXPECT_EQ(listing->entries[0].key, this->key("b/1"));
  EXPECT_EQ(listing->entries[1].value, "x");
  EXPECT_GE(listing->revision, listing->entries[0].revision);
}

TYPED_TEST(MetaStoreTest, ALostCompareChangesNothing) {
  auto first = this->store.commit(Txn{}.require_absent(this->key("a")).put(this->key("a"), "1"));
  ASSERT_TRUE(first);
  auto again = this->store.commit(
      Txn{}.require_absent(this->key("a")).put(this->key("a"), "2").put(this->key("other"), "2"));
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, Code::kConflict);
  EXPECT_FALSE(this->store.get(this->key("other")).value());
  EXPECT_TRUE(this->store.commit(Txn{}.require(this->key("a"), *first).put(this->key("a"), "3")));
  EXPECT_EQ(
      this->store.commit(Txn{}.require(this->key("a"), *first).erase(this->key("a"))).error().code,
      Code::kConflict);
}

TYPED_TEST(MetaStoreTest, WatchGivesEveryChangeAfterARevisionInOrder) {
  auto start = this->store.commit(Txn{}.put(this->key("w/a"), "1"));
  ASSERT_TRUE(start);
  ASSERT_TRUE(this->store.commit(Txn{}.put(this->key("w/a"), "2")));
  std::mutex mutex;
  std::vector<std::string> seen;
  auto watch = this->store.watch(this->key("w/"), *start, [&](const auto& events) {
    std::lock_guard lock(mutex);
    for (const auto& event : events) seen.push_back(event.value.value_or("gone"));
  });
  ASSERT_TRUE(this->store.commit(Txn{}.put(this->key("w/b"), "3")));
  ASSERT_TRUE(this->store.commit(Txn{}.put(this->key("elsewhere"), "4")));
  ASSERT_TRUE(this->store.commit(Txn{}.erase(this->key("w/a"))));
  const std::vector<std::string> expected{"2", "3", "gone"};
  EXPECT_TRUE(eventually([&] {
    std::lock_guard lock(mutex);
    return seen == expected;
  }));
}

TYPED_TEST(MetaStoreTest, ALeaseHoldsItsKeysWhileItIsKeptAndNoLonger) {
  auto lease = this->store.grant_lease(2s);
  ASSERT_TRUE(lease);
  ASSERT_TRUE(this->store.commit(Txn{}.put(this->key("l"), "here", (*lease)->id())));
  this->backend.let_time_pass(4s);
  EXPECT_TRUE((*lease)->alive());
  EXPECT_TRUE(this->store.get(this->key("l")).value());
  lease->reset();
  EXPECT_FALSE(this->store.get(this->key("l")).value());
}

TYPED_TEST(MetaStoreTest, AKeyOfADeadLeaseIsRefused) {
  EXPECT_EQ(this->store.commit(Txn{}.put(this->key("l"), "x", LeaseId{4711})).error().code,
            Code::kNotFound);
}

TYPED_TEST(MetaStoreTest, SaysWhoItIs) {
  auto identity = this->store.identity();
  ASSERT_TRUE(identity);
  EXPECT_NE(identity->cluster_id, 0U);
  EXPECT_FALSE(identity->version.empty());
}

TEST(MemMetaStore, AnAbandonedLeaseExpires) {
  MemMetaStore store;
  auto lease = store.grant_lease(5s);
  ASSERT_TRUE(store.commit(Txn{}.put("k", "v", (*lease)->id())));
  store.abandon((*lease)->id());
  store.advance(4s);
  EXPECT_TRUE((*lease)->alive());
  store.advance(2s);
  EXPECT_FALSE((*lease)->alive());
  EXPECT_FALSE(store.get("k").value());
}

TEST(EtcdMetaStore, SurvivesARestartOfEtcdAndItsWatchesGoOn) {
  TestEtcd etcd;
  auto store = etcd.store(5s);
  std::atomic<int> seen{0};
  auto watch = store->watch("/r/", Revision{1},
                            [&](const auto& events) { seen += static_cast<int>(events.size()); });
  ASSERT_TRUE(store->commit(Txn{}.put("/r/a", "1")));
  EXPECT_TRUE(eventually([&] { return seen == 1; }));
  etcd.stop();
  EXPECT_EQ(etcd.store(300ms)->get("/r/a").error().code, Code::kUnreachable);
  etcd.start();
  EXPECT_EQ(store->get("/r/a").value()->value, "1");
  ASSERT_TRUE(store->commit(Txn{}.put("/r/b", "2")));
  EXPECT_TRUE(eventually([&] { return seen == 2; }));
}

TEST(EtcdMetaStore, ALeaseIsNotAliveOnceEtcdCouldHaveLetItExpire) {
  TestEtcd etcd;
  auto store = etcd.store();
  auto lease = store->grant_lease(2s);
  ASSERT_TRUE(lease);
  etcd.suspend();
  EXPECT_TRUE(eventually([&] { return !(*lease)->alive(); }, 4s));
  etcd.resume();
  EXPECT_FALSE((*lease)->alive()) << "it never comes back";
}

TEST(EtcdMetaStore, GoesToAnotherEndpointWhenOneIsDead) {
  TestEtcd etcd;
  auto store = EtcdMetaStore::create(
      {.endpoints = {fmt::format("127.0.0.1:{}", free_port()), etcd.endpoint()}});
  ASSERT_TRUE(store);
  EXPECT_TRUE((*store)->commit(Txn{}.put("/f/a", "1")));
  EXPECT_TRUE((*store)->get("/f/a").value());
}

TEST(EtcdMetaStore, ListsTenThousandValuesOfMoreThanFourMebibytes) {
  TestEtcd etcd;
  auto store = etcd.store(10s);
  const std::string value(600, 'v');
  for (int i = 0; i < 100; ++i) {
    Txn txn;
    for (int j = 0; j < 100; ++j) txn.put(fmt::format("/big/{:05}", i * 100 + j), value);
    ASSERT_TRUE(store->commit(txn));
  }
  auto listing = store->list("/big/");
  ASSERT_TRUE(listing) << listing.error().message;
  EXPECT_EQ(listing->entries.size(), 10'000U);
}

}  // namespace
}  // namespace cleat::control
