// The command cleat.
#include <grpc/support/log.h>

#include <iostream>

#include "cli/program.h"

extern char** environ;

int main(int argc, char** argv) {
  // What went wrong is said by the verb, in one line; gRPC's own log would be further lines.
  gpr_set_log_function([](gpr_log_func_args*) {});
  std::map<std::string, std::string> environment;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    std::string text = *entry;
    size_t equals = text.find('=');
    if (equals != std::string::npos) environment[text.substr(0, equals)] = text.substr(equals + 1);
  }
  cleat::cli::Terminal terminal{std::cout, std::cerr, std::move(environment)};
  return cleat::cli::run(std::vector<std::string>(argv + 1, argv + argc), terminal);
}
