#!/bin/sh
# Writes weather.csv: a made-up year of daily records of twelve weather stations, the same at every run. Each station
# has a climate (mean, swing over the year, how often it rains); from day to day the weather wanders. About one row in
# a hundred is faulty the way real records are: a value missing, minimum and maximum swapped, a sensor gone mad.
set -eu
cd "$(dirname "$0")"
awk '
# Lehmer generator of Park and Miller (1988): awk leaves its own rand() to the implementation.
function random() { seed = (seed * 16807) % 2147483647; return seed / 2147483647 }
function normal() { return sqrt(-2 * log(random())) * cos(6.283185307 * random()) }
BEGIN {
    seed = 20240101
    split("31 29 31 30 31 30 31 31 30 31 30 31", days)
    split("10.4 8.1 5.2 2.6 13.9 16.8 9.3 7.7 11.5 4.0 18.2 12.1", mean)
    split("9.1 8.0 11.5 14.2 7.4 6.1 9.8 10.3 8.8 12.6 5.5 7.0", swing)
    print "station,date,tmin,tmax,rain"
    for (month = 1; month <= 12; month++) for (day = 1; day <= days[month]; day++) {
        season = -cos(6.283185307 * (day_of_year++ - 18) / 366)
        for (station = 1; station <= 12; station++) {
            mood[station] = 0.8 * mood[station] + 1.8 * normal()
            middle = mean[station] + swing[station] * season + mood[station]
            range = 2 + 7 * random()
            low = sprintf("%.1f", middle - range / 2)
            high = sprintf("%.1f", middle + range / 2)
            rain = sprintf("%.1f", random() < 0.25 + station / 50 ? -4.5 * log(random()) : 0)
            fault = random()
            if (fault < 0.004) high = ""
            else if (fault < 0.006) { swap = low; low = high; high = swap }
            else if (fault < 0.008) low = "-999.9"
            else if (fault < 0.010) rain = "n/a"
            printf "%d,2024-%02d-%02d,%s,%s,%s\n", station, month, day, low, high, rain
        }
    }
}' >weather.csv
