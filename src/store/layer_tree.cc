#include "store/layer_tree.h"

#include "common/check.h"

namespace cleat::store {

void SlotIndex::set(uint32_t logical, uint32_t slot) {
  auto found = pages_.find(logical / kPageEntries);
  if (found == pages_.end()) {
    if (slot == kNoSlot) return;
    found = pages_.emplace(logical / kPageEntries, std::make_unique<Page>()).first;
  }
  Page& page = *found->second;
  uint32_t& entry = page.slots[logical % kPageEntries];
  if (entry != kNoSlot) {
    --page.used;
    --count_;
  }
  entry = slot;
  if (slot != kNoSlot) {
    ++page.used;
    ++count_;
  }
  if (page.used == 0) pages_.erase(found);
}

std::vector<uint32_t> SlotIndex::some(size_t count_max) const {
  std::vector<uint32_t> found;
  for (const auto& [number, page] : pages_) {
    for (uint32_t i = 0; i < kPageEntries && found.size() < count_max; ++i) {
      if (page->slots[i] != kNoSlot) found.push_back(number * kPageEntries + i);
    }
    if (found.size() == count_max) break;
  }
  return found;
}

Layer* LayerTree::find(uint32_t id) const {
  auto found = layers_.find(id);
  return found == layers_.end() ? nullptr : found->second.get();
}

Layer* LayerTree::create(VolumeId volume, Layer* parent) {
  Layer* layer = restore(next_id_++, volume);
  if (parent != nullptr) link(layer, parent);
  return layer;
}

Layer* LayerTree::restore(uint32_t id, VolumeId volume) {
  auto layer = std::make_unique<Layer>();
  layer->id = id;
  layer->volume = volume;
  Layer* raw = layer.get();
  CHECK(layers_.emplace(id, std::move(layer)).second, "layer ids are never used again");
  return raw;
}

void LayerTree::link(Layer* layer, Layer* parent) {
  CHECK(layer->parent == nullptr, "a layer is unlinked before it gets another parent");
  layer->parent = parent;
  parent->children.push_back(layer);
}

void LayerTree::unlink(Layer* layer) {
  if (layer->parent == nullptr) return;
  std::erase(layer->parent->children, layer);
  layer->parent = nullptr;
}

void LayerTree::erase(Layer* layer) {
  CHECK(layer->children.empty(), "a layer that others are based on stays");
  unlink(layer);
  layers_.erase(layer->id);
}

}  // namespace cleat::store
