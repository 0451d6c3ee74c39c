// One call of CSI from the command line, for tests and for looking into a node:
//   cleat-csi-call SOCKET SERVICE METHOD 'REQUEST in protobuf's text format'
// Prints the answer in the same format. Exit codes: 0 done, 1 failed (CODE: sentence), 2 usage.
#include <google/protobuf/text_format.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/impl/client_unary_call.h>

#include <chrono>
#include <cstdio>
#include <memory>
#include <string>

#include "api/csi.grpc.pb.h"

namespace {

using google::protobuf::Message;
using google::protobuf::MessageLite;

const char* name_of(grpc::StatusCode code) {
  switch (code) {
    case grpc::StatusCode::INVALID_ARGUMENT: return "INVALID_ARGUMENT";
    case grpc::StatusCode::NOT_FOUND: return "NOT_FOUND";
    case grpc::StatusCode::ALREADY_EXISTS: return "ALREADY_EXISTS";
    case grpc::StatusCode::FAILED_PRECONDITION: return "FAILED_PRECONDITION";
    case grpc::StatusCode::ABORTED: return "ABORTED";
    case grpc::StatusCode::OUT_OF_RANGE: return "OUT_OF_RANGE";
    case grpc::StatusCode::RESOURCE_EXHAUSTED: return "RESOURCE_EXHAUSTED";
    case grpc::StatusCode::UNAVAILABLE: return "UNAVAILABLE";
    case grpc::StatusCode::DEADLINE_EXCEEDED: return "DEADLINE_EXCEEDED";
    default: return "INTERNAL";
  }
}

int call(const std::string& socket, const google::protobuf::MethodDescriptor& method,
         const std::string& text) {
  auto* factory = google::protobuf::MessageFactory::generated_factory();
  std::unique_ptr<Message> request(factory->GetPrototype(method.input_type())->New());
  std::unique_ptr<Message> response(factory->GetPrototype(method.output_type())->New());
  if (!google::protobuf::TextFormat::ParseFromString(text, request.get())) return 2;
  auto channel = grpc::CreateChannel("unix:" + socket, grpc::InsecureChannelCredentials());
  const std::string path = "/" + method.service()->full_name() + "/" + method.name();
  const grpc::internal::RpcMethod rpc(path.c_str(), grpc::internal::RpcMethod::NORMAL_RPC, channel);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
  grpc::Status status = grpc::internal::BlockingUnaryCall<MessageLite, MessageLite>(
      channel.get(), rpc, &context, *request, response.get());
  if (!status.ok()) {
    std::fprintf(stderr, "%s: %s\n", name_of(status.error_code()), status.error_message().c_str());
    return 1;
  }
  std::string out;
  google::protobuf::TextFormat::PrintToString(*response, &out);
  std::fputs(out.c_str(), stdout);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) {
    std::fputs("usage: cleat-csi-call SOCKET SERVICE METHOD 'REQUEST'\n", stderr);
    return 2;
  }
  // Names a message, so that the file's descriptors are linked in.
  const auto* file = csi::v1::ProbeRequest::descriptor()->file();
  const auto* service = file->FindServiceByName(argv[2]);
  const auto* method = service == nullptr ? nullptr : service->FindMethodByName(argv[3]);
  if (method == nullptr) {
    std::fprintf(stderr, "cleat-csi-call: there is no %s.%s\n", argv[2], argv[3]);
    return 2;
  }
  return call(argv[1], *method, argv[4]);
}
