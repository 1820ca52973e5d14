package dev.pocketlens.android

import android.content.Context
import android.content.Intent
import android.os.BatteryManager
import android.os.Looper
import android.os.PowerManager
import dev.pocketlens.Faces
import dev.pocketlens.Lens
import dev.pocketlens.LiveSearch
import dev.pocketlens.Offered
import dev.pocketlens.Thermal
import kotlinx.coroutines.runBlocking
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertNotEquals
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf

@RunWith(RobolectricTestRunner::class)
class HeatTest {
    private val context: Context = RuntimeEnvironment.getApplication()
    private val power = shadowOf(context.getSystemService(PowerManager::class.java))
    private val battery = shadowOf(context.getSystemService(BatteryManager::class.java))

    @Test
    fun `every status of the system has its heat`() {
        val heat = (PowerManager.THERMAL_STATUS_NONE..PowerManager.THERMAL_STATUS_SHUTDOWN).map(::thermalOf)
        val expected = listOf(
            Thermal.NOMINAL, Thermal.NOMINAL, Thermal.FAIR, Thermal.SERIOUS, Thermal.CRITICAL, Thermal.CRITICAL,
            Thermal.CRITICAL,
        )
        assertEquals(expected, heat)
    }

    @Test
    fun `power is saved when the phone says so or its battery ends`() {
        battery.setIntProperty(BatteryManager.BATTERY_PROPERTY_CAPACITY, 80)
        assertFalse(savesPower(context))
        power.setIsPowerSaveMode(true)
        assertTrue(savesPower(context))
        power.setIsPowerSaveMode(false)
        battery.setIntProperty(BatteryManager.BATTERY_PROPERTY_CAPACITY, 9)
        assertTrue(savesPower(context))
        battery.setIsCharging(true)
        assertFalse(savesPower(context))
        // Phones that do not know say 0.
        battery.setIsCharging(false)
        battery.setIntProperty(BatteryManager.BATTERY_PROPERTY_CAPACITY, 0)
        assertFalse(savesPower(context))
    }

    @Test
    fun `a live search pauses while the phone is too hot`() = runBlocking {
        Lens.open(Faces.index.path).use { lens ->
            LiveSearch(lens).use { live ->
                val image = Faces.yuv(Faces.photos[0])
                live.followPower(context).use {
                    power.setCurrentThermalStatus(PowerManager.THERMAL_STATUS_EMERGENCY)
                    shadowOf(Looper.getMainLooper()).idle()
                    assertEquals(Offered.PAUSED, live.analyze(image))
                    power.setCurrentThermalStatus(PowerManager.THERMAL_STATUS_LIGHT)
                    shadowOf(Looper.getMainLooper()).idle()
                    assertNotEquals(Offered.PAUSED, live.analyze(image))
                    context.sendBroadcast(Intent(PowerManager.ACTION_POWER_SAVE_MODE_CHANGED))
                    shadowOf(Looper.getMainLooper()).idle()
                }
                assertTrue(power.thermalStatusListeners.isEmpty())
                assertTrue(shadowOf(RuntimeEnvironment.getApplication()).registeredReceivers.none {
                    it.intentFilter.hasAction(PowerManager.ACTION_POWER_SAVE_MODE_CHANGED)
                })
            }
        }
    }
}
