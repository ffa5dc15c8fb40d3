sum(('x' || left(md5(
    key || int8send(clicks) || int8send(impressions) || float8send(ctr) || float8send(coalesce(position, 'NaN'))
), 16))::bit(64)::bigint)
