#include "cli/manual.h"

#include <fmt/format.h>

#include <algorithm>
#include <sstream>

#include "cli/words.h"

namespace cleat::cli {
namespace {

constexpr const char* kExitText =
    "0: done. 1: failed; one line on standard error says what, why and what to do. 2: the command "
    "line "
    "is wrong; nothing was done.";
constexpr const char* kNamesText =
    "Volumes and snapshots are given by name or by id. A size is a bare number of GiB, or has a "
    "unit: "
    "512M, 10Gi, 1.5T (powers of two; a multiple of 4 KiB).";

struct Item {
  std::string name;
  std::string text;
};

std::string usage(const Path& path) {
  std::string line = full_name(path);
  const CLI::App& app = *path.back();
  if (!visible_verbs(app).empty()) return line + " [OPTIONS] VERB";
  if (!dashed_options(app).empty()) line += " [OPTIONS]";
  for (const CLI::Option* argument : positional_arguments(app)) {
    std::string name = argument_name(*argument) + (takes_several(*argument) ? "..." : "");
    line += argument->get_required() ? " " + name : " [" + name + "]";
  }
  return line;
}

std::string description_of(const CLI::Option& option) {
  std::string text = option.get_description();
  if (!option.get_default_str().empty()) text += fmt::format(" [{}]", option.get_default_str());
  if (option.get_required() && !option.get_positional()) text += " (must be given)";
  return text;
}

std::vector<Item> option_items(const CLI::App& app) {
  std::vector<Item> items;
  for (const CLI::Option* option : dashed_options(app)) {
    std::string value = value_name(*option);
    items.push_back(
        {display_name(*option) + (value.empty() ? "" : " " + value), description_of(*option)});
  }
  return items;
}

std::vector<Item> argument_items(const CLI::App& app) {
  std::vector<Item> items;
  for (const CLI::Option* argument : positional_arguments(app)) {
    items.push_back({argument_name(*argument), description_of(*argument)});
  }
  return items;
}

std::vector<Item> verb_items(const CLI::App& app) {
  std::vector<Item> items;
  for (const CLI::App* verb : visible_verbs(app)) {
    std::string name = verb->get_name();
    for (const auto& alias : verb->get_aliases()) name += ", " + alias;
    items.push_back({name, verb->get_description()});
  }
  return items;
}

std::string section(const std::string& title, const std::vector<Item>& items) {
  constexpr size_t kWidthMax = 34;
  if (items.empty()) return "";
  size_t width = 0;
  for (const Item& item : items) {
    if (item.name.size() <= kWidthMax) width = std::max(width, item.name.size());
  }
  std::string text = fmt::format("\n{}:\n", title);
  for (const Item& item : items) {
    std::string gap = item.name.size() <= kWidthMax ? std::string(width - item.name.size() + 2, ' ')
                                                    : "\n" + std::string(width + 4, ' ');
    text += fmt::format("  {}{}{}\n", item.name, gap, item.text);
  }
  return text;
}

std::string examples(const CLI::App& app) {
  if (app.get_footer().empty()) return "";
  std::istringstream lines(app.get_footer());
  std::string text = "\nExamples:\n", line;
  while (std::getline(lines, line)) text += "  " + line + "\n";
  return text;
}

// Text for troff: a dash and a backslash are escaped, a line can't begin with a control character.
std::string troff(const std::string& text) {
  std::string out;
  for (char c : text) {
    if (c == '-' || c == '\\') out += '\\';
    if (out.empty() && (c == '.' || c == '\'')) out += "\\&";
    out += c == '\\' ? 'e' : c;
  }
  return out;
}

std::string troff_items(const std::string& title, const std::vector<Item>& items) {
  if (items.empty()) return "";
  std::string text = title.empty() ? "" : fmt::format(".SH {}\n", title);
  for (const Item& item : items) {
    text += fmt::format(".TP\n.B {}\n{}\n", troff(item.name), troff(item.text));
  }
  return text;
}

std::string troff_verb(const Path& path) {
  const CLI::App& verb = *path.back();
  std::string text =
      fmt::format(".SS {}\n{}.\n", troff(usage(path)), troff(verb.get_description()));
  text += troff_items("", argument_items(verb)) + troff_items("", option_items(verb));
  if (!verb.get_footer().empty()) {
    text += ".PP\nExamples:\n.PP\n.nf\n" + troff(verb.get_footer()) + "\n.fi\n";
  }
  for (const CLI::App* below : visible_verbs(verb)) {
    Path deeper = path;
    deeper.push_back(below);
    text += troff_verb(deeper);
  }
  return text;
}

std::string troff_head(const std::string& page, const std::string& version, const Path& path) {
  std::string title = page;
  std::transform(title.begin(), title.end(), title.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return fmt::format(
      ".TH {} 1 \"\" \"Cleat {}\" \"Cleat\"\n.SH NAME\n{} \\- {}\n.SH SYNOPSIS\n.B {}\n",
      troff(title), version, troff(page), troff(path.back()->get_description()),
      troff(usage(path)));
}

std::string root_page(const CLI::App& root, const std::string& version) {
  std::string text = troff_head("cleat", version, {&root});
  text += fmt::format(".SH DESCRIPTION\n{}\n", troff(kNamesText));
  text += troff_items("VERBS", verb_items(root));
  text += troff_items("OPTIONS", option_items(root));
  text += fmt::format(".SH EXIT STATUS\n{}\n.SH SEE ALSO\n", troff(kExitText));
  for (const CLI::App* group : visible_verbs(root)) {
    if (!visible_verbs(*group).empty())
      text += fmt::format(".BR cleat\\-{} (1)\n", group->get_name());
  }
  return text;
}

void add_markdown(const Path& path, std::string& text) {
  std::string heading = path.size() == 1 ? "" : fmt::format("## {}\n\n", full_name(path));
  text += fmt::format("\n{}```text\n{}```\n", heading, help_text(path));
  for (const CLI::App* verb : visible_verbs(*path.back())) {
    Path deeper = path;
    deeper.push_back(verb);
    add_markdown(deeper, text);
  }
}

}  // namespace

std::string help_text(const Path& path) {
  const CLI::App& app = *path.back();
  std::string text =
      fmt::format("{}: {}\n\nUsage: {}\n", full_name(path), app.get_description(), usage(path));
  text += section("Verbs", verb_items(app));
  text += section("Arguments", argument_items(app));
  text += section("Options", option_items(app));
  text += examples(app);
  if (path.size() == 1) {
    text += fmt::format("\n{}\nExit codes: {}\n", kNamesText, kExitText);
  } else {
    text += "\nOptions of every verb (--json, --address, --timeout, ...): cleat --help\n";
  }
  return text;
}

std::string markdown(const CLI::App& root) {
  std::string text =
      "# The command line\n\nMade by `cleat reference`; a test keeps it current. Verbs and tables "
      "are "
      "those of pxctl.\n";
  add_markdown({&root}, text);
  return text;
}

std::vector<std::pair<std::string, std::string>> manual_pages(const CLI::App& root,
                                                              const std::string& version) {
  std::vector<std::pair<std::string, std::string>> pages{{"cleat.1", root_page(root, version)}};
  for (const CLI::App* group : visible_verbs(root)) {
    if (visible_verbs(*group).empty()) continue;
    std::string name = "cleat-" + group->get_name();
    std::string text = troff_head(name, version, {&root, group}) + ".SH VERBS\n";
    for (const CLI::App* verb : visible_verbs(*group)) text += troff_verb({&root, group, verb});
    text += fmt::format(".SH EXIT STATUS\n{}\n.SH SEE ALSO\n.BR cleat (1)\n", troff(kExitText));
    pages.emplace_back(name + ".1", text);
  }
  return pages;
}

}  // namespace cleat::cli
