// The library for apps (`pocketlens`) and a sample app (`sample`). For tests without a phone see pom.xml.
plugins {
    alias(libs.plugins.android.library) apply false
    alias(libs.plugins.android.application) apply false
    alias(libs.plugins.kotlin.android) apply false
}
