-- Unlike CREATE TABLE … PARTITION OF, this waits for no reader and keeps none waiting.
ALTER TABLE {rows} ATTACH PARTITION {partition} FOR VALUES FROM ({first}) TO ({after})
