#pragma once
#include <napi.h>

#include <memory>

#include "addon/values.h"
#include "testbed/testbed.h"

namespace weir::addon {

/// The JavaScript side of a testbed: `Testbed` of runtime/process/native.ts.
class TestbedObject final : public Napi::ObjectWrap<TestbedObject> {
 public:
  static Napi::Function define(const Napi::Env& env);

  explicit TestbedObject(const Napi::CallbackInfo& info) : ObjectWrap(info) {}

  void hold(std::unique_ptr<testbed::Testbed> bed, std::shared_ptr<sandbox::Engine> engine) {
    engine_ = std::move(engine);
    bed_ = std::move(bed);
  }

 private:
  testbed::Testbed& open(const Napi::Env& env);

  Napi::Value deploy(const Napi::CallbackInfo& info);
  Napi::Value set_link(const Napi::CallbackInfo& info);
  Napi::Value run(const Napi::CallbackInfo& info);
  Napi::Value now_us(const Napi::CallbackInfo& info);
  Napi::Value connect(const Napi::CallbackInfo& info);
  Napi::Value listen(const Napi::CallbackInfo& info);
  Napi::Value bind(const Napi::CallbackInfo& info);
  Napi::Value write(const Napi::CallbackInfo& info);
  Napi::Value take(const Napi::CallbackInfo& info);
  Napi::Value consume(const Napi::CallbackInfo& info);
  Napi::Value end(const Napi::CallbackInfo& info);
  Napi::Value abort(const Napi::CallbackInfo& info);
  Napi::Value accept(const Napi::CallbackInfo& info);
  Napi::Value state(const Napi::CallbackInfo& info);
  Napi::Value send_datagram(const Napi::CallbackInfo& info);
  Napi::Value receive_datagram(const Napi::CallbackInfo& info);
  Napi::Value close(const Napi::CallbackInfo& info);
  Napi::Value drain_events(const Napi::CallbackInfo& info);
  Napi::Value counters(const Napi::CallbackInfo& info);
  Napi::Value link_counts(const Napi::CallbackInfo& info);
  Napi::Value shut_down(const Napi::CallbackInfo& info);

  /// Outlives the testbed.
  std::shared_ptr<sandbox::Engine> engine_;
  std::unique_ptr<testbed::Testbed> bed_;
};

/// createTestbed of runtime/process/native.ts.
Napi::Value create_testbed(const Napi::CallbackInfo& info);

}  // namespace weir::addon
