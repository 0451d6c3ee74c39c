// Logging: one line an event, by spdlog, to standard error. The data path logs state changes, never
// I/O. LOG_INFO("volume {} attached at epoch {}", id, epoch): fmt's format strings.
#pragma once

#include <spdlog/spdlog.h>

#define LOG_DEBUG(...) SPDLOG_DEBUG(__VA_ARGS__)
#define LOG_INFO(...) ::spdlog::info(__VA_ARGS__)
#define LOG_WARN(...) ::spdlog::warn(__VA_ARGS__)
#define LOG_ERROR(...) ::spdlog::error(__VA_ARGS__)
