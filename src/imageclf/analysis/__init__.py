"""Numbers about data sets, runs and their predictions: functions of tables and arrays, without torch."""
