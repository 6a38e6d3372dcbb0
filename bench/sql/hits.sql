-- h00
select count(*) from hits;
-- h01
select count(*) from hits where adv_engine_id <> 0;
-- h02
select sum(adv_engine_id), count(*), avg(resolution_width) from hits;
-- h03
select avg(user_id) from hits;
-- h04
select count(distinct user_id) from hits;
-- h05
select count(distinct search_phrase) from hits;
-- h06
select min(event_date), max(event_date) from hits;
-- h07
select adv_engine_id, count(*) from hits where adv_engine_id <> 0 group by 1 order by 2 desc, 1;
-- h08
select region_id, count(distinct user_id) as u from hits group by 1 order by u desc, 1 limit 10;
-- h09
select region_id, sum(adv_engine_id), count(*) as c, avg(resolution_width), count(distinct user_id)
from hits group by 1 order by c desc, 1 limit 10;
-- h10
select phone_model, count(distinct user_id) as u from hits where phone_model <> ''
group by 1 order by u desc, 1 limit 10;
-- h11
select search_phrase, count(*) as c from hits where search_phrase <> '' group by 1
order by c desc, 1 limit 10;
-- h12
select search_phrase, count(distinct user_id) as u from hits where search_phrase <> '' group by 1
order by u desc, 1 limit 10;
-- h13
select search_engine_id, search_phrase, count(*) as c from hits where search_phrase <> ''
group by 1, 2 order by c desc, 1, 2 limit 10;
-- h14
select user_id, count(*) from hits group by 1 order by 2 desc, 1 limit 10;
-- h15
select user_id, search_phrase, count(*) from hits group by 1, 2 order by 3 desc, 1, 2 limit 10;
-- h16
select user_id, extract(minute from event_time) as m, search_phrase, count(*) from hits
group by 1, 2, 3 order by 4 desc, 1, 2, 3 limit 10;
-- h17
select user_id from hits where user_id = 435090932899640449;
-- h18
select count(*) from hits where url like '%google%';
-- h19
select search_phrase, min(url), count(*) as c from hits
where url like '%google%' and search_phrase <> '' group by 1 order by c desc, 1 limit 10;
-- h20
select search_phrase, min(url), min(title), count(*) as c, count(distinct user_id) from hits
where title like '%Google%' and url not like '%.google.%' and search_phrase <> ''
group by 1 order by c desc, 1 limit 10;
-- h21
select * from hits where url like '%google%' order by event_time, watch_id limit 10;
-- h22
select search_phrase from hits where search_phrase <> '' order by event_time, search_phrase limit 10;
-- h23
select search_phrase from hits where search_phrase <> '' order by search_phrase limit 10;
-- h24
select counter_id, avg(length(url)) as l, count(*) as c from hits where url <> ''
group by 1 having count(*) > 1000 order by l desc, 1 limit 25;
-- h25
select sum(resolution_width), sum(resolution_width + 1), sum(resolution_width + 2),
  sum(resolution_width + 3), sum(resolution_width + 4), sum(resolution_width + 5),
  sum(resolution_width + 6), sum(resolution_width + 7), sum(resolution_width + 8) from hits;
-- h26
select search_engine_id, client_ip, count(*) as c, sum(is_refresh), avg(resolution_width) from hits
where search_phrase <> '' group by 1, 2 order by c desc, 1, 2 limit 10;
-- h27
select watch_id, client_ip, count(*) as c, sum(is_refresh), avg(resolution_width) from hits
group by 1, 2 order by c desc, 1, 2 limit 10;
-- h28
select url, count(*) as c from hits group by 1 order by c desc, 1 limit 10;
-- h29
select client_ip, client_ip - 1, client_ip - 2, client_ip - 3, count(*) as c from hits
group by 1, 2, 3, 4 order by c desc, 1 limit 10;
-- h30
select url, count(*) as views from hits
where counter_id = 62 and event_date >= date '2013-07-01' and event_date <= date '2013-07-31'
  and is_refresh = 0 and url <> '' group by 1 order by views desc, 1 limit 10;
-- h31
select date_trunc('minute', event_time) as m, count(*) as views from hits
where counter_id = 62 and event_date >= date '2013-07-14' and event_date <= date '2013-07-15'
  and is_refresh = 0 group by 1 order by 1 limit 10;
