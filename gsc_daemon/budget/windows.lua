-- Step 4, check_rate: the budget's windows in Redis, by Redis' own clock; all or none in one round trip.
-- The arithmetic is explained in windows.py and repeated in memory.py. All times are whole microseconds.
-- All keys share a hash tag, so that they lie in one slot of a cluster:
--   epoch    hash: which start of the server the windows belong to, and the time when they were last used
--   names    sorted set: scope:name by the last sending time
--   SCOPE:NAME   sorted set: sending times
--   pace:NAME    hash: qpm, ceiling (refused last), since (when it begins to hold), pause (before that)
--   refused:NAME sorted set: refusals by sending time
-- A verb reads before it writes, and first writes what needs memory: a server that refuses to write then takes nothing.
local PREFIX = 'gscd:{budget}:'
local EPOCH, NAMES = PREFIX .. 'epoch', PREFIX .. 'names'
local MINUTE = 60000000
local SET_BACK = 1000000 -- a clock that goes back further has been set; less is a server's imprecision

local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
local verb, window = ARGV[1], tonumber(ARGV[2])
local budgets = { site = tonumber(ARGV[3]), user = tonumber(ARGV[4]), project = tonumber(ARGV[5]) }
local tightest = math.min(budgets.site, budgets.user, budgets.project)
local rules = {}
for place, name in ipairs({ 'halve', 'ease', 'pause', 'longest', 'steady', 'quick', 'slow', 'near', 'floor' }) do
  rules[name] = tonumber(ARGV[5 + place])
end
local FIRST = 15 -- the verb's own arguments begin here

local function whole(number)
  return string.format('%.0f', number)
end

local function spacing(budget)
  return math.ceil(window / budget)
end

local function info(section)
  local text = redis.pcall('INFO', section)
  return type(text) == 'string' and text or ''
end

local function server_run()
  return string.match(info('server'), 'run_id:(%w+)') or '-'
end

-- Whether the windows are those of this start of the server: one that comes up from an old snapshot, a replica that has
-- taken over and a clock that was set back all mean that the last minute is not known.
local function known()
  local epoch = redis.call('HMGET', EPOCH, 'run', 'seen')
  return epoch[1] == server_run() and now >= tonumber(epoch[2]) - SET_BACK
end

-- One scope for a question of count queries: what lies ahead, and where its window is full.
local function read_scope(scope, name, budget, count)
  local key, distance = PREFIX .. scope .. ':' .. name, spacing(budget)
  local full = redis.call('ZCARD', key) - budget -- rank of the time that must be over before the first query
  local rooms = {}
  if count > 0 and full + count > 0 then
    for place, time in ipairs(redis.call('ZRANGE', key, math.max(full, 0), full + count - 1)) do
      rooms[math.max(-full, 0) + place] = tonumber(time) + window
    end
  end
  local ahead = redis.call('ZRANGEBYSCORE', key, '(' .. whole(now - distance), '+inf')
  return { scope = scope, name = name, key = key, distance = distance, rooms = rooms, ahead = ahead, next = 1 }
end

-- The first moment from at on at which a scope has room for the question's query number place.
local function free_from(scope, at, place)
  at = math.max(at, scope.rooms[place] or 0)
  while scope.ahead[scope.next] do
    local taken = tonumber(scope.ahead[scope.next])
    if taken >= at + scope.distance then
      break
    end
    if taken > at - scope.distance then
      at = taken + scope.distance
    end
    scope.next = scope.next + 1
  end
  return at
end

-- The same for all scopes, and which of them held it up last.
local function find(scopes, at, place)
  local held_by
  repeat
    local before = at
    for _, scope in ipairs(scopes) do
      local free = free_from(scope, at, place)
      if free > at then
        at, held_by = free, scope.scope
      end
    end
  until at == before
  return at, held_by
end

local function read_pace(credential)
  local fields = redis.call('HMGET', PREFIX .. 'pace:' .. credential, 'qpm', 'ceiling', 'since', 'pause')
  if not fields[1] then
    return nil
  end
  return {
    qpm = tonumber(fields[1]),
    ceiling = tonumber(fields[2]),
    since = tonumber(fields[3]),
    pause = tonumber(fields[4]),
  }
end

local function write_pace(credential, pace)
  local key = PREFIX .. 'pace:' .. credential
  if not pace then
    redis.call('DEL', key)
    return
  end
  local qpm, ceiling = string.format('%.17g', pace.qpm), string.format('%.17g', pace.ceiling)
  redis.call('HSET', key, 'qpm', qpm, 'ceiling', ceiling, 'since', whole(pace.since), 'pause', whole(pace.pause))
end

local function shown(pace)
  return pace and string.format('%.17g', pace.qpm) or ''
end

local function note(name, times)
  local key = PREFIX .. name
  redis.call('ZREMRANGEBYSCORE', key, '-inf', whole(now - window))
  local words = {}
  for place, time in ipairs(times) do
    words[2 * place - 1], words[2 * place] = whole(time), whole(time)
  end
  for place = 1, #words, 1000 do -- unpack takes a few thousand at most
    redis.call('ZADD', key, unpack(words, place, math.min(place + 999, #words)))
  end
  local last = redis.call('ZRANGE', key, -1, -1)[1]
  redis.call('PEXPIRE', key, math.ceil((tonumber(last) + window - now) / 1000) + 1000)
  redis.call('ZADD', NAMES, last, name)
end

-- The pace rises a little with each query, once it has held for a while.
local function rise(credential, pace, count)
  if not pace then
    return nil
  end
  local before = pace.qpm
  if now > pace.since + rules.steady * spacing(pace.qpm) then
    local by = pace.qpm < rules.near * pace.ceiling and rules.quick or rules.slow
    pace.qpm = pace.qpm * (1 + by * count)
  end
  if pace.qpm >= tightest then
    pace = nil
  end
  if not pace or pace.qpm ~= before then
    write_pace(credential, pace)
  end
  return pace
end

-- The pace keeps the queries of one credential apart, like its budget but further.
local function pace_scope(pace, user_scope)
  local distance = spacing(pace.qpm)
  local ahead = redis.call('ZRANGEBYSCORE', user_scope.key, '(' .. whole(now - distance), '+inf')
  return { scope = 'pace', distance = distance, rooms = {}, ahead = ahead, next = 1 }
end

local function take(site, credential, count, patience, project)
  if not known() then
    return { 'forgotten' }
  end
  local site_scope = read_scope('site', site, budgets.site, count)
  local user_scope = read_scope('user', credential, budgets.user, count)
  local scopes = { site_scope, user_scope, read_scope('project', project, budgets.project, count) }
  local pace, at = read_pace(credential), now
  if pace then
    scopes[4] = pace_scope(pace, user_scope)
    at = math.max(at, pace.since)
  end
  local first, held_by = find(scopes, at, 1)
  if first > now + patience then
    return { 'full', shown(pace), held_by or 'pace', first - patience - now }
  end
  local distance = 0
  for _, scope in ipairs(scopes) do
    distance = math.max(distance, scope.distance)
  end
  local times, answer = {}, {}
  at = first
  for place = 1, count do
    at = find(scopes, at, place)
    times[place] = at
    answer[place + 2] = at - now
    at = at + distance
  end
  if count > 0 then
    redis.call('HSET', EPOCH, 'seen', whole(now))
    note('site:' .. site, times)
    note('user:' .. credential, times)
    note('project:' .. project, times)
    redis.call('ZREMRANGEBYSCORE', NAMES, '-inf', whole(now - window))
    pace = rise(credential, pace, count)
  end
  answer[1], answer[2] = 'taken', shown(pace)
  return answer
end

-- sends: JSON list of [microseconds from now, site, credential, queries, project], the oldest first; paces: of
-- [credential, queries a minute].
local function fill(sends, paces)
  if known() then
    return -1
  end
  local noted = cjson.decode(sends)
  redis.call('HSET', EPOCH, 'run', server_run(), 'seen', whole(now))
  for _, name in ipairs(redis.call('ZRANGE', NAMES, 0, -1)) do
    redis.call('DEL', PREFIX .. name)
  end
  redis.call('DEL', NAMES)
  local logs, order, queries = {}, {}, 0
  for _, send in ipairs(noted) do
    if send[1] > -window then
      local at = now + (send[1] <= window and send[1] or 0) -- further ahead: the clock was set back
      for _, name in ipairs({ 'site:' .. send[2], 'user:' .. send[3], 'project:' .. send[5] }) do
        if not logs[name] then
          logs[name] = {}
          order[#order + 1] = name
        end
        for _ = 1, send[4] do -- each at a time of its own, since the set has every time once
          local last = logs[name][#logs[name]]
          table.insert(logs[name], last and math.max(at, last + 1) or at)
        end
      end
      queries = queries + send[4]
    end
  end
  for _, name in ipairs(order) do
    note(name, logs[name])
  end
  for _, saved in ipairs(cjson.decode(paces)) do
    local credential, qpm = saved[1], saved[2]
    local pace = read_pace(credential)
    if pace then
      pace.since = math.min(pace.since, now + rules.longest)
      write_pace(credential, pace)
    elseif qpm > 0 then
      write_pace(credential, { qpm = qpm, ceiling = qpm, since = 0, pause = 0 })
    end
  end
  return queries
end

-- How many times of a sorted set lie in the minute before one.
local function minute(key, to)
  return redis.call('ZCOUNT', key, '(' .. whole(to - MINUTE), whole(to))
end

local function slow(credential, age)
  local sent = now - age
  local pace = read_pace(credential)
  local log, refused = PREFIX .. 'user:' .. credential, PREFIX .. 'refused:' .. credential
  local number = redis.call('HINCRBY', EPOCH, 'refusals', 1) -- so that two refused at the same time are two
  redis.call('ZADD', refused, whole(sent), number)
  redis.call('ZREMRANGEBYSCORE', refused, '-inf', whole(now - window))
  redis.call('PEXPIRE', refused, math.ceil(window / 1000) + 1000)
  if pace and sent < pace.since then
    return { shown(pace), 0 }
  end
  local accepted = minute(log, sent) - minute(refused, sent)
  local before = pace and math.min(pace.qpm, tightest) or tightest
  local held = pace and sent >= pace.since + rules.steady * spacing(pace.qpm)
  local lower, ceiling = before * (held and rules.ease or rules.halve), before
  if accepted * rules.ease > lower or (not held and accepted >= lower) then
    lower, ceiling = accepted * rules.ease, math.min(before, accepted) -- what Google took within a minute is nearly what it takes a minute
  end
  local last = tonumber(redis.call('ZRANGE', log, -1, -1)[1] or 0)
  local pause = (pace and not held) and math.min(2 * pace.pause, rules.longest) or rules.pause
  local lowered = {
    qpm = math.min(before, math.max(lower, rules.floor)),
    ceiling = ceiling,
    since = math.max(now, last) + pause,
    pause = pause,
  }
  write_pace(credential, lowered)
  return { shown(lowered), 1 }
end

local function used()
  local answer = {}
  for _, name in ipairs(redis.call('ZRANGEBYSCORE', NAMES, whole(now - window), '+inf')) do
    local credential = string.match(name, '^user:(.*)$')
    answer[#answer + 1] = { name, minute(PREFIX .. name, now), shown(credential and read_pace(credential)) }
  end
  return answer
end

if verb == 'take' then
  return take(ARGV[FIRST], ARGV[FIRST + 1], tonumber(ARGV[FIRST + 2]), tonumber(ARGV[FIRST + 3]), ARGV[FIRST + 4])
elseif verb == 'fill' then
  return fill(ARGV[FIRST], ARGV[FIRST + 1])
elseif verb == 'slow' then
  return slow(ARGV[FIRST], tonumber(ARGV[FIRST + 1]))
elseif verb == 'used' then
  return used()
elseif verb == 'server' then
  return { info('server'), info('memory') }
end
return redis.error_reply('gscd knows no verb ' .. verb)
