-- Days with spans that were priced at their source, by their start in UTC, as one text.
SELECT arrayStringConcat(arrayMap(day -> toString(day), arraySort(groupUniqArray(toDate32(e.started, 'UTC')))), ' ') AS days FROM ($spans) AS e
