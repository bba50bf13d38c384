-- A layout whose messages have no ids of their own: a sequence of items, each one text, that only grows at its newest
-- end, or is trimmed.
--
-- `sequence` makes the primitives of `session.lua` of a few on items, which are counted from 0, the oldest:
--
--   expected                        the type of the key that holds the items
--   key(keys)                       which key that is
--   length(keys)                    how many items there are
--   items(keys, first, last)        the items from one to the other; fewer where there are not so many
--   push(keys, item)                adds an item at the newest end
--   set(keys, rank, item)           replaces an item
--   insert(keys, rank, item)        adds an item before the one of that rank
--   remove(keys, rank)              removes an item
--   clear(keys)                     removes all items
--
-- and, where they are needed:
--
--   at_hand                         true: all items are in our memory anyway, so that looking at all of them costs little
--   own_id(item)                    the item's own id, or nil
--   wrong(keys)                     why the items cannot be read, and what lies there instead; or nil
--   flush(keys)                     writes what these primitives kept back
--   forget()                        makes there be nothing to write any more, since the key is gone
--
-- A session has its title, its metadata and its user in a hash of ours, the companion. Where the framework has a place for
-- some of them, `own` says how to read and write that; names that begin with `:` are then the companion's:
--
--   lost_digits                     as of a layout
--   required                        true: there is no session without it
--   read(keys)                      {owner, fields, created, updated}, nil when there is none, or nil and a problem
--   save(keys, fields)              writes all fields
--   change(keys, fields)            writes some fields
--   touch(keys, updated)            writes when the session was last written
--   drop(keys)                      removes it
--   expires(keys)                   when the session expires
--   see(keys, see)                  tells a fingerprint what all of these depend on; returns whether it is there
--   owner(keys)                     the owner, as of `read`
--   expire(keys, expires)           lets it expire

-- Returns the fields of a header that are the framework's, and those of the companion.
local function parted(own, fields)
  if not own then
    return {}, fields
  end
  local theirs, ours = {}, {}
  for i = 1, #fields, 2 do
    local name = fields[i]:match('^:(.*)$')
    local list = name and ours or theirs
    list[#list + 1] = name or fields[i]
    list[#list + 1] = fields[i + 1]
  end
  return theirs, ours
end

-- What is shown of a session that is nobody's: its header, and so many of its items that they can be looked at.
local RAW_BYTES, RAW_ITEMS = 65536, 100

local function raw_of(storage, keys, header)
  local parts, bytes = { unpack(header.fields) }, 0
  for _, item in ipairs(storage.items(keys, 0, math.min(storage.length(keys), RAW_ITEMS) - 1)) do
    if bytes < RAW_BYTES then
      parts[#parts + 1] = item
      bytes = bytes + #item
    end
  end
  return table.concat(parts, '\n')
end

local function sequence(storage, own)
  local layout = { lost_digits = own and own.lost_digits or 0, storage = storage, flush = storage.flush }

  function layout.header(keys, state)
    local key = storage.key(keys)
    local kind = redis.call('TYPE', key).ok
    if kind ~= storage.expected and kind ~= 'none' then
      return nil, wrong_type(key, storage.expected)
    end
    local held, wrong
    if own then
      held, wrong = own.read(keys)
      if wrong or (own.required and not held) then
        return nil, wrong
      end
    end
    local companion = redis.call('HGETALL', keys.companion)
    local expired = state.expires ~= '' and tonumber(state.expires) <= clock()
    local nowhere = kind == 'none' and not held
    if nowhere and (#companion == 0 or expired) then
      return nil
    end
    local header = held or { fields = {} }
    header.owner = header.owner or keys.owner ~= '' and keys.owner or field_of(companion, 'user')
    if not header.owner then
      return nil, problem(keys.header, NOBODYS, raw_of(storage, keys, header))
    end
    if storage.wrong then
      local reason, raw = storage.wrong(keys)
      if reason then
        return nil, problem(keys.header, reason, raw, header.owner)
      end
    end
    for i = 1, #companion, 2 do
      header.fields[#header.fields + 1] = (own and ':' or '') .. companion[i]
      header.fields[#header.fields + 1] = companion[i + 1]
    end
    header.expires = nowhere and state.expires or own and own.expires(keys) or expiry_of(keys.header)
    return header
  end

  function layout.inputs(keys, see)
    local kind, held = redis.call('TYPE', storage.key(keys)).ok, own and own.see(keys, see)
    local companion = redis.call('HGETALL', keys.companion)
    local nothing = kind == 'none' and not held and #companion == 0
    if nothing or (kind ~= storage.expected and kind ~= 'none') then
      return nil
    end
    see.value(kind)
    see.value(companion)
    if not own then
      see.expiry(keys.header)
    end
    -- Items that are at hand are in the header.
    local last = storage.at_hand and -1 or storage.length(keys) - 1
    for first = 0, last, FEW do
      for _, item in ipairs(storage.items(keys, first, math.min(first + FEW - 1, last))) do
        if not see.value(item) then
          return nil
        end
      end
    end
    return own and own.owner(keys) or keys.owner ~= '' and keys.owner or field_of(companion, 'user')
  end

  function layout.save(keys, fields)
    local theirs, ours = parted(own, fields)
    rewrite_hash(keys.companion, ours)
    if own then
      own.save(keys, theirs)
    end
  end

  function layout.change(keys, fields)
    local theirs, ours = parted(own, fields)
    call_in_pieces('HSET', keys.companion, ours)
    if own then
      own.change(keys, theirs)
    end
  end

  function layout.touch(keys, updated)
    if keys.owner ~= '' then
      -- A session that chatstore wrote is there without messages, too.
      redis.call('HSETNX', keys.companion, 'user', keys.owner)
    end
    if own then
      own.touch(keys, updated)
    end
  end

  function layout.drop(keys)
    storage.clear(keys)
    redis.call('DEL', keys.companion)
    if own then
      own.drop(keys)
    end
    if storage.forget then
      storage.forget()
    end
  end

  -- Looks at all items, as an edit in the middle of a long list is suspected.
  function layout.suspect()
    storage.suspected = true
  end

  function layout.view(keys, state)
    local now = signature(storage, keys)
    if redis.sha1hex(now) == state.listing and not storage.suspected then
      return nil
    end
    local length, known_count = storage.length(keys), redis.call('ZCARD', keys.order)
    local trimmed, view = trimmed_by(storage, keys, known_count, length), nil
    if trimmed then
      view = grown_view(storage, keys, known_count, length, trimmed)
    elseif length == 0 then
      view = { size = 0, from = 0, to = 0, vanished = true }
    else
      view = changed_view(storage, keys, known_count, length)
    end
    view.listing = now
    return view
  end

  -- Fetches the items of messages that the ledger knows, from a rank on.
  function layout.fill(keys, found, first)
    for i, item in ipairs(storage.items(keys, first, first + #found - 1)) do
      found[i].item = item
    end
  end

  function layout.append(keys)
    return signature(storage, keys)
  end

  function layout.relist(keys)
    return signature(storage, keys)
  end

  function layout.load(keys, message, body, state)
    local item = message.item
    if not item then
      local rank = redis.call('ZRANK', keys.order, message.id)
      item = rank and storage.items(keys, rank, rank)[1]
    end
    local key = keys.header .. '#' .. message.id
    if not item then
      return nil, problem(key, 'the ledger knows it, but it is not there')
    end
    local created = text(tonumber(state.created ~= '' and state.created or '0') + message.position)
    local _, rest = split_body(storage, message.id, body)
    return { 'item', item, 'id', message.id }, rest, created, key
  end

  -- Whether what the ledger knows as a message is another text now. An edit in the middle of a long list is told so only.
  function layout.edited(keys, message, raw)
    return mark_of(storage, message.item) ~= mark_in_ledger(storage, message.id, raw)
  end

  function layout.store(keys, id, fields, rest, was, rank)
    local item = field_of(fields, 'item')
    if was == rank then
      storage.set(keys, rank, item)
    else
      if was then
        storage.remove(keys, was)
      end
      if rank == storage.length(keys) then
        storage.push(keys, item)
      else
        storage.insert(keys, rank, item)
      end
    end
    return mark_of(storage, item) .. rest
  end

  function layout.edit(keys, id, fields, body, rest)
    local item = field_of(fields, 'item')
    storage.set(keys, redis.call('ZRANK', keys.order, id), item)
    return mark_of(storage, item) .. rest
  end

  function layout.remove(keys, id)
    local rank = redis.call('ZRANK', keys.order, id)
    if rank then
      storage.remove(keys, rank)
    end
  end

  layout.remove_all = storage.clear

  -- What the ledger keeps of a message that another program wrote, or of one that it edited.
  function layout.note(message)
    local mark = message.item and mark_of(storage, message.item) or message.mark
    local rest = ''
    if message.was then
      local _
      _, rest = split_body(storage, message.id, read_entry(nil, message.was).body)
    end
    return rest == '' and mark == message.id:sub(1, DIGEST) and '' or mark .. rest
  end

  function layout.present(keys, id)
    return redis.call('ZSCORE', keys.order, id) and true or false
  end

  function layout.foreign()
    return false
  end

  function layout.same(fields, others)
    return field_of(fields, 'item') == field_of(others, 'item')
  end

  function layout.expire(keys, id, expires)
    layout.expire_session(keys, expires)
  end

  function layout.expire_session(keys, expires)
    if own then
      own.expire(keys, expires)
    else
      expire(keys.header, expires)
    end
  end

  return layout
end
