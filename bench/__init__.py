"""The protocol: meta-training, meta-testing, statistics, report. Owns every file format; one verb per DAG stage."""
