-- Put the month that was built anew in the place of the old one, in one step.
ALTER TABLE $rollup REPLACE PARTITION $month FROM $rebuild
