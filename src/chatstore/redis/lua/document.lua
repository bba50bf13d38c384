-- One document: what the layout holds of it, and the ledger, which is ours: its version, its deletion, and what the
-- layout has no field for. The table `layout` is a layout's part:
--
--   lost_digits               of a time in microseconds, how many digits the layout has no room for
--   load(key)                 {owner, fields, created, updated, expires}; nil when there is none; nil and a problem
--   times(created, updated)   the fields that hold the times, flat
--
-- A document is a hash in every layout; `rest` is what its fields cannot carry.

-- On a cluster the document and its ledger lie in one slot, the index and the journal in others.
local keys = {
  document = KEYS[1],
  state = KEYS[2],
  index = KEYS[3],
  marks = KEYS[4],
  bodies = KEYS[5],
  user_marks = KEYS[6],
  migration = KEYS[7],
  id = take(),
}

local NAMES = { 'user', 'version', 'deleted', 'created', 'updated', 'expires', 'rest' }
local NUMBERS = { version = true, deleted = true }

-- Returns what is known of the document, or nil and a problem.
local function open()
  local values = redis.call('HMGET', keys.state, unpack(NAMES))
  local state = {}
  for i, name in ipairs(NAMES) do
    state[name] = NUMBERS[name] and (tonumber(values[i]) or 0) or values[i] or ''
  end
  local held, wrong = layout.load(keys.document)
  if wrong then
    return nil, wrong
  end
  state.held = held
  if not held then
    return state
  end
  state.user = held.owner
  state.expires = precise(state.expires, held.expires, 3)
  state.created = precise(state.created, held.created, layout.lost_digits)
  local updated = precise(state.updated, held.updated, layout.lost_digits)
  if state.version == 0 then
    state.version = even(math.max(foreign_version(updated), state.deleted + 1))
  elseif updated ~= state.updated then
    state.version = even(math.max(foreign_version(updated), state.version + 1))
  end
  state.updated = updated
  return state
end

local function give_version(state)
  return next_version(math.max(state.version, state.deleted))
end

local function save(state)
  local fields = {}
  for _, name in ipairs(NAMES) do
    fields[#fields + 1] = name
    fields[#fields + 1] = NUMBERS[name] and text(state[name]) or state[name]
  end
  redis.call('HSET', keys.state, unpack(fields))
  if state.held then
    redis.call('ZADD', keys.index, state.updated, keys.id)
  else
    redis.call('ZREM', keys.index, keys.id)
  end
end

local function store(state, fields)
  for _, value in ipairs(layout.times(state.created, state.updated)) do
    fields[#fields + 1] = value
  end
  rewrite_hash(keys.document, fields)
  state.held = { fields = fields }
end

local function drop(state)
  redis.call('DEL', keys.document)
  state.held = nil
  state.version, state.created, state.updated, state.expires, state.rest = 0, '', '', '', ''
end

-- The document for a reply: its ledger's part, then its fields, or false when there is none.
local function reply(outcome, state)
  local part = { outcome }
  for _, name in ipairs(NAMES) do
    part[#part + 1] = NUMBERS[name] and text(state[name]) or state[name]
  end
  part[#part + 1] = state.held and state.held.fields or false
  return part
end
