-- One document: what the layout holds of it, and the ledger, which is ours: its version, its deletion, and what the
-- layout has no field for. The table `layout` is a layout's part. A layout of hashes needs no more of it than `load`
-- and `times`; `document_json.lua` and `document_set.lua` are what other types of keys need.
--
--   lost_digits                 of a time in microseconds, how many digits the layout has no room for; nil for a layout that
--                               has no times: then the digest of what it holds tells that another program wrote
--   load(keys, state)           {owner, fields, created, updated, expires}; nil when there is none; nil and a problem,
--                               or {`other`, key, reason, raw}: it is no document but something of another layout's.
--                               The digest of what we wrote last is `state.written`
--                               `owner` nil: the layout says nobody's name; of one without times also `digest`, when the
--                               fields are not what is to be compared
--   says_owner                  whether the layout has a field for whose it is; the mapping is not asked then, unless it is empty
--   owner_in(fields, name)      whom a field that the mapping names says, or nil; nil and a reason
--   times(created, updated)     the fields that hold the times, flat
--   store(keys, fields)         writes the fields and leaves the TTL; returns a problem when the server does not take them
--   drop(keys)                  removes the document
--   expire(keys, expires)       lets it expire
--   parts(keys, held)           of one without times: a digest of the text and one of the embedding, '' for none
--   shares_expiry               whether many documents expire at once: then the ledger has those that are a document's own
--   place(keys)                 what names the document in a problem, where its key alone does not
--
-- `fields` are flat; `rest` is what they cannot carry.

-- On a cluster the document and its ledger lie in one slot. The index and the journal lie in others: there their keys are
-- not given, and both are written before this script is run.
local keys = {
  document = KEYS[1],
  state = KEYS[2],
  index = KEYS[3],
  marks = KEYS[4],
  bodies = KEYS[5],
  user_marks = KEYS[6],
  migration = KEYS[7],
  id = take(),
  -- Whose it is by the mapping of owners, or which field says it; both empty where nobody mapped any.
  owner = take(),
  owner_field = take(),
  -- When it was made, as far as its id says; else empty.
  born = take(),
}

-- `parts` are digests of the text and of the embedding that were seen last.
local NAMES =
  { 'user', 'version', 'deleted', 'created', 'updated', 'expires', 'rest', 'digest', 'written', 'mapped', 'parts' }
-- Not told, and not kept of a layout with times.
local OURS = { digest = true, written = true, mapped = true, parts = true }
local NUMBERS = { version = true, deleted = true }
local NOBODYS = "it is nobody's: neither the layout nor the mapping of owners says whose it is: "
  .. 'set CHATSTORE_DOCUMENT_OWNERS'

if not layout.owner_in then
  function layout.owner_in(fields, name)
    return field_of(fields, name)
  end
end

if not layout.times then
  function layout.times()
    return {}
  end
end

if not layout.store then
  function layout.store(places, fields)
    rewrite_hash(places.document, fields)
  end

  function layout.drop(places)
    redis.call('DEL', places.document)
  end
end

if not layout.expire then
  function layout.expire(places, expires)
    expire(places.document, expires)
  end
end

local function place()
  return layout.place and layout.place(keys) or keys.document
end

-- A digest of flat fields, whatever order the server gives them in.
local function digest_of(fields)
  local parts = {}
  for i = 1, #fields, 2 do
    parts[#parts + 1] = redis.sha1hex(fields[i]) .. redis.sha1hex(fields[i + 1])
  end
  table.sort(parts)
  return redis.sha1hex(table.concat(parts))
end

-- The sooner of two expiries; '' is never.
local function sooner(a, b)
  return (a == '' or (b ~= '' and tonumber(b) < tonumber(a))) and b or a
end

-- What was found, for a problem.
local function raw_of(fields)
  return #fields == 2 and fields[1] == '' and fields[2] or table.concat(fields, '\n')
end

-- Whose the fields say that the document is, by the layout or else by the mapping; nil and a problem.
local function owner_by_mapping(fields, own)
  if own and own ~= '' then
    return own
  elseif keys.owner_field == '' then
    return keys.owner
  end
  local named, reason = layout.owner_in(fields, keys.owner_field)
  if reason then
    return nil, problem(place(), reason, raw_of(fields))
  end
  return named or ''
end

local function load(state)
  local held, wrong = layout.load(keys, state)
  if held and not layout.lost_digits and not held.digest then
    held.digest = digest_of(held.fields)
  end
  return held, wrong
end

-- Short, so that a ledger stays one that Redis keeps packed: no value of more than 64 bytes.
local function parts_of(place, held)
  local parts = layout.parts(place, held)
  return parts[1]:sub(1, 16) .. ' ' .. parts[2]:sub(1, 16)
end

-- Whether another program put another record in the place of the one that is known: neither text nor embedding are its.
local function is_another(state, held)
  local text_before, vector_before = state.parts:match('^(%x*) (%x*)$')
  if layout.lost_digits or held.digest == state.digest or (text_before or '') .. (vector_before or '') == '' then
    return false
  end
  local text_now, vector_now = parts_of(keys, held):match('^(%x*) (%x*)$')
  local same_text = text_before ~= '' and text_before == text_now
  local same_vector = vector_before ~= '' and vector_before == vector_now
  return not same_text and not same_vector
end

-- Nothing that the ledger has of a record is another one's: not its title, its times, or its user.
local function forget(state)
  state.user, state.created, state.updated, state.rest, state.written, state.mapped = '', '', '', '', '', ''
end

-- Returns what is known of the document, or nil and a problem.
local function open()
  local values = redis.call('HMGET', keys.state, unpack(NAMES))
  local state = {}
  for i, name in ipairs(NAMES) do
    state[name] = NUMBERS[name] and (tonumber(values[i]) or 0) or values[i] or ''
  end
  local held, wrong = load(state)
  if wrong then
    return nil, wrong
  end
  state.held = held
  if not held then
    return state
  end
  if is_another(state, held) then
    forget(state)
  end
  local owner
  owner, wrong = owner_by_mapping(held.fields, held.owner)
  if wrong then
    return nil, wrong
  end
  if owner ~= '' then
    state.user = owner
  elseif state.mapped == '1' then
    -- So it was once, by a mapping that says so no more.
    state.user = ''
  end
  if state.user == '' then
    return nil, problem(place(), NOBODYS, raw_of(held.fields))
  end
  if layout.shares_expiry then
    -- It is that of the record that we wrote, and ends with it.
    state.own_expires = held.digest == state.written and state.expires or ''
    if has_passed(state.own_expires) then
      state.held = nil
      return state
    end
    state.expires = sooner(state.own_expires, held.expires)
  else
    state.expires = precise(state.expires, held.expires, 3)
  end
  if layout.lost_digits then
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
  local born = keys.born ~= '' and keys.born or '0'
  state.created = state.created ~= '' and state.created or born
  state.updated = state.updated ~= '' and state.updated or born
  state.unseen = state.version == 0
  if state.unseen then
    state.version = even(math.max(foreign_version(state.updated), state.deleted + 1))
  elseif held.digest ~= state.digest then
    state.changed = true
    state.version = even(state.version + 1)
  end
  return state
end

local function give_version(state)
  return next_version(math.max(state.version, state.deleted))
end

local function write_down(state)
  state.digest = state.held and state.held.digest or ''
  local fields = {}
  for _, name in ipairs(NAMES) do
    if not (OURS[name] and layout.lost_digits) then
      local value = name == 'expires' and layout.shares_expiry and (state.own_expires or '') or state[name]
      fields[#fields + 1] = name
      fields[#fields + 1] = NUMBERS[name] and text(value) or value
    end
  end
  redis.call('HSET', keys.state, unpack(fields))
end

local function save(state)
  write_down(state)
  if not keys.index then
    return
  end
  if state.held then
    redis.call('ZADD', keys.index, state.updated, keys.id)
  else
    redis.call('ZREM', keys.index, keys.id)
  end
end

-- Writes down what another program did, where the layout has no times to tell it by. When that was nobody knows: what was
-- never seen is older than whatever anybody wrote through us, and what changed is only just newer than what it was.
local function adopt(state)
  if state.held and (state.unseen or state.changed) then
    state.mapped = owner_by_mapping(state.held.fields, state.held.owner) ~= '' and '1' or state.mapped
    state.parts = parts_of(keys, state.held)
    write_down(state) -- the index is found by a walk
  end
end

-- Returns a problem when the server does not take the fields.
local function store(state, fields)
  for _, value in ipairs(layout.times(state.created, state.updated)) do
    fields[#fields + 1] = value
  end
  local wrong = layout.store(keys, fields)
  if wrong then
    return wrong
  elseif layout.lost_digits then
    state.held = { fields = fields }
    return nil
  end
  state.written = '*' -- what is there is what we wrote
  state.held, wrong = load(state)
  state.written = state.held and state.held.digest or ''
  state.parts = state.held and parts_of(keys, state.held) or ''
  return wrong
end

-- Lets the document expire at a time, or never.
local function set_expiry(state, expires)
  layout.expire(keys, expires)
  state.own_expires = expires
  state.expires = layout.shares_expiry and state.held and sooner(expires, state.held.expires) or expires
end

local function drop(state)
  layout.drop(keys)
  state.held = nil
  state.version, state.created, state.updated, state.expires, state.rest, state.written = 0, '', '', '', '', ''
  state.own_expires, state.parts = '', ''
end

-- Whether the mapping says that a document with these fields would be another user's.
local function is_anothers(user, fields)
  if layout.says_owner then
    return false
  end
  local owner, wrong = owner_by_mapping(fields, nil)
  return wrong or (owner ~= '' and owner ~= user)
end

-- The document for a reply: its ledger's part, then its fields, or false when there is none.
local function reply(outcome, state)
  local part = { outcome }
  for _, name in ipairs(NAMES) do
    if not OURS[name] then
      part[#part + 1] = NUMBERS[name] and text(state[name]) or state[name]
    end
  end
  part[#part + 1] = state.held and state.held.fields or false
  return part
end
