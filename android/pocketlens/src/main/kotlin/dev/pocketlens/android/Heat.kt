package dev.pocketlens.android

import android.content.Context
import android.os.BatteryManager
import android.os.PowerManager
import dev.pocketlens.LiveSearch
import dev.pocketlens.Thermal

/** What `PowerManager.getCurrentThermalStatus()` says. */
fun thermalOf(status: Int): Thermal = when {
    status >= PowerManager.THERMAL_STATUS_CRITICAL -> Thermal.CRITICAL
    status >= PowerManager.THERMAL_STATUS_SEVERE -> Thermal.SERIOUS
    status >= PowerManager.THERMAL_STATUS_MODERATE -> Thermal.FAIR
    else -> Thermal.NOMINAL
}

/** Slows a live search down as the phone gets warm (API 29 on) or saves its battery. Close what this returns with it. */
fun LiveSearch.followPower(context: Context): AutoCloseable {
    val power = context.getSystemService(PowerManager::class.java)
    val battery = context.getSystemService(BatteryManager::class.java)
    val percent = battery.getIntProperty(BatteryManager.BATTERY_PROPERTY_CAPACITY)
    setSaving(power.isPowerSaveMode || (percent in 1 until LOW_BATTERY && !battery.isCharging))
    if (android.os.Build.VERSION.SDK_INT < android.os.Build.VERSION_CODES.Q) return AutoCloseable { }
    val listener = PowerManager.OnThermalStatusChangedListener { setThermal(thermalOf(it)) }
    power.addThermalStatusListener(listener)
    return AutoCloseable { power.removeThermalStatusListener(listener) }
}

private const val LOW_BATTERY = 15
