#include "csi/attachments.h"

#include <algorithm>
#include <sstream>

#include "csi/cleatd.h"

namespace cleat::csi {
namespace {

std::vector<std::string> nodes_in_note(const api::Volume& volume, const std::string& label) {
  std::vector<std::string> out;
  std::istringstream words(label_of(volume, label));
  for (std::string word; std::getline(words, word, ',');) {
    if (!word.empty()) out.push_back(word);
  }
  return out;
}

}  // namespace

std::vector<api::Attachment> attachments_of(const api::Volume& volume) {
  std::vector<api::Attachment> out;
  if (volume.has_attachment()) out.push_back(volume.attachment());
  out.insert(out.end(), volume.shared_attachments().begin(), volume.shared_attachments().end());
  return out;
}

const api::Attachment* attachment_on(const api::Volume& volume, const std::string& node) {
  if (volume.has_attachment() && volume.attachment().node() == node) return &volume.attachment();
  for (const auto& other : volume.shared_attachments()) {
    if (other.node() == node) return &other;
  }
  return nullptr;
}

bool is_online_elsewhere(const api::Volume& volume, const std::string& node) {
  const auto all = attachments_of(volume);
  return std::any_of(all.begin(), all.end(), [&](const api::Attachment& each) {
    return each.node() != node && each.node_online();
  });
}

std::string names_of(const std::vector<api::Attachment>& attachments) {
  std::string out;
  for (const auto& each : attachments) out += (out.empty() ? "" : ", ") + each.node();
  return out;
}

bool names_node(const api::Volume& volume, const std::string& label, const std::string& node) {
  const auto nodes = nodes_in_note(volume, label);
  return std::find(nodes.begin(), nodes.end(), node) != nodes.end();
}

std::string with_node(const api::Volume& volume, const std::string& label, const std::string& node,
                      bool on) {
  auto nodes = nodes_in_note(volume, label);
  std::erase(nodes, node);
  if (on) nodes.push_back(node);
  std::string out;
  for (const auto& each : nodes) out += (out.empty() ? "" : ",") + each;
  return out;
}

}  // namespace cleat::csi
