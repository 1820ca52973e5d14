package dev.pocketlens.android

import android.content.BroadcastReceiver
import android.content.Context
import android.content.Intent
import android.content.IntentFilter
import android.os.BatteryManager
import android.os.Build
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

/** Whether the phone saves its battery, or should: less than 15 percent, and not charging. */
fun savesPower(context: Context): Boolean {
    val power = context.getSystemService(PowerManager::class.java)
    val battery = context.getSystemService(BatteryManager::class.java)
    val percent = battery.getIntProperty(BatteryManager.BATTERY_PROPERTY_CAPACITY)
    return power.isPowerSaveMode || (percent in 1 until LOW_BATTERY && !battery.isCharging)
}

/**
 * Slows a live search down while the phone is warm (API 29 on) or saves its battery. Close what this returns before the
 * live search.
 */
fun LiveSearch.followPower(context: Context): AutoCloseable {
    setSaving(savesPower(context))
    val changed = object : BroadcastReceiver() {
        override fun onReceive(context: Context, intent: Intent) = setSaving(savesPower(context))
    }
    context.registerReceiver(changed, POWER_CHANGES)
    if (Build.VERSION.SDK_INT < Build.VERSION_CODES.Q) return AutoCloseable { context.unregisterReceiver(changed) }
    val power = context.getSystemService(PowerManager::class.java)
    val warmed = PowerManager.OnThermalStatusChangedListener { setThermal(thermalOf(it)) }
    power.addThermalStatusListener(warmed)
    return AutoCloseable {
        power.removeThermalStatusListener(warmed)
        context.unregisterReceiver(changed)
    }
}

private const val LOW_BATTERY = 15

// Sent by the system alone: no flag about other apps is needed.
private val POWER_CHANGES = IntentFilter().apply {
    addAction(PowerManager.ACTION_POWER_SAVE_MODE_CHANGED)
    addAction(Intent.ACTION_BATTERY_LOW)
    addAction(Intent.ACTION_BATTERY_OKAY)
    addAction(Intent.ACTION_POWER_CONNECTED)
    addAction(Intent.ACTION_POWER_DISCONNECTED)
}
